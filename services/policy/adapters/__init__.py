"""How the policy service meets the world."""
