"""The catalog's REST routes under /api/v3/, made from the registry of types; shapes and texts are authentik's."""
