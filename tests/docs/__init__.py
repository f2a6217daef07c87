"""The documentation: what it shows runs, what it names exists, and what exists is named."""
