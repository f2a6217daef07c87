"""The sensors example computed a second time, in plain Python, and inputs made from its data."""
