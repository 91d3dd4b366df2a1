"""Owns the definitions: flows, stages, bindings, policies, brands; publishes each version."""
