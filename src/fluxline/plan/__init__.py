"""What a pipeline is, as frozen data: nodes, expressions, windows; to and from JSON."""
