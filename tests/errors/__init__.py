"""What a user reads when something is wrong."""
