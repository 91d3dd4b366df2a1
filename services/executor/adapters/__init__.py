"""How the executor service meets the world."""
