"""The executor service's rules: pure, no driver."""
