"""Expressions of the embedded engine."""
