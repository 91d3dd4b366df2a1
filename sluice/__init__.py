"""The command line and the one-process runtime: the only code that sees all four services."""
