"""Tests of binding, naming and rewriting plans."""
