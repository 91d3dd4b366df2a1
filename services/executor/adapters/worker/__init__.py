"""Sessions on the log: reads steps, writes transitions, takes over."""
