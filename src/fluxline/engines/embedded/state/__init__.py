"""What operators remember."""
