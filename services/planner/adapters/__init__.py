"""How the planner service meets the world."""
