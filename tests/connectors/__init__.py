"""The connectors: what each does beyond the contract that `tests/contracts/test_connectors.py` runs over all of them."""
