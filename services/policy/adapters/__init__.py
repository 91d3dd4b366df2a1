"""How policy reaches the world."""
