"""What a project looks like now."""
