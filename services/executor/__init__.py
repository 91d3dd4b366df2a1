"""Advances sessions one step at a time, speaks HTTP with visitors, keeps the users."""
