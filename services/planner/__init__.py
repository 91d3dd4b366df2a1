"""Turns a flow, a visitor and a context into a plan, or into a refusal with its reason."""
