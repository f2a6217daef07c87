"""The tests: tidy (the shape of the repository), then one folder per room, contract or kind of test."""
