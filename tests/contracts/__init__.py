"""The contracts of the dictionaries, run over every word."""
