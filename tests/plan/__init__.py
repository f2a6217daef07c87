"""Tests of plans as data."""
