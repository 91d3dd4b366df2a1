"""A process with services in it: what `python -m services.X` and the command line have in common."""
