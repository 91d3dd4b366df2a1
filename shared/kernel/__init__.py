"""Pure building blocks under everything else: ids, clock, errors."""
