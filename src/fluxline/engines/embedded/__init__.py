"""The vectorised engine: one process, no server. It reads, decides and writes in batches of columns."""
