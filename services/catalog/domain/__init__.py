"""The catalog service's rules: pure, no driver."""
