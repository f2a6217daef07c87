"""Servers are killed under a running pipeline; an independent count says that nothing was lost and nothing doubled."""
