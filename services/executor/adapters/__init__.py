"""How executor reaches the world."""
