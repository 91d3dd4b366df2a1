"""What the executor service does, over ports."""
