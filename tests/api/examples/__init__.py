"""Pipelines as the documentation shows them; they are type-checked and run."""
