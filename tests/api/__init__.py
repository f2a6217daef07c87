"""The public names, their types as a checker sees them, and what importing them costs."""
