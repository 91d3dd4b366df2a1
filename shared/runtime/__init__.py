"""A process with services in it: what `python -m services.<name>` and the command line have in common."""
