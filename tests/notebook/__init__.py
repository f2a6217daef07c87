"""Tests that run cells in a Jupyter kernel."""
