"""The stage types, one file each; `registry.py` finds them."""
