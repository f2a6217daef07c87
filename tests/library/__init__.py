"""The function dictionary."""
