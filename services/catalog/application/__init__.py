"""What catalog does with its decisions: handlers, and the ports they need."""
