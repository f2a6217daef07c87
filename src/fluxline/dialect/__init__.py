"""Flink SQL as a syntax tree and its printer."""
