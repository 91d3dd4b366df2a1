"""How catalog reaches the world."""
