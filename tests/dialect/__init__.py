"""Flink SQL as a tree, and its text."""
