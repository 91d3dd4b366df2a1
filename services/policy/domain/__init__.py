"""The policy service's rules: pure, no driver."""
