"""What the planner service does, over ports."""
