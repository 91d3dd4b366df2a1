"""How the catalog service meets the world."""
