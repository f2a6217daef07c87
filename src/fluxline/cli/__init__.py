"""The command line: one file per command, which parses, calls `control` and prints. `main.py` has the table of them."""
