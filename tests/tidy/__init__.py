"""The shape of the repository: map, sizes, words, bans, docstrings, limits, secrets, lock."""
