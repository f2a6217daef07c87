"""Measurements, side by side with another engine in one run; results are compared before time is."""
