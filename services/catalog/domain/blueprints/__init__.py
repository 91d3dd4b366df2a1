"""authentik's blueprint format, version 1: read from YAML, checked whole, turned into events."""
