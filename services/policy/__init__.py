"""Answers whether a visitor passes some bindings, with the reasons."""
