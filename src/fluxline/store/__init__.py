"""The embedded table store: keyed upserts and appends into one DuckDB file, read by SQL while rows arrive.

`store.py` is the store of the process that owns the file, `client.py` how any process asks it. A row's way:
`store.py` stages it (`delta.py`), a query sees it at once (`query.py`), and one transaction brings it into the file
within a second (`file.py`).
"""
