"""What the policy service does, over ports."""
