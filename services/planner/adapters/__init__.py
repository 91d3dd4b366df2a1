"""How planner reaches the world."""
