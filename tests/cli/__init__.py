"""The command line: what it prints, its exit codes, and that nothing ever shows as a traceback."""
