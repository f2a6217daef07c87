"""Every node, window, function and aggregate on both engines: `recorded.json` is what came out last."""
