"""The embedded table store."""
