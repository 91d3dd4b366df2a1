"""The policy types, one file each; `registry.py` finds them."""
