"""What the catalog service does, over ports."""
