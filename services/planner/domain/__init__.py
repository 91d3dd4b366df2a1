"""The planner service's rules: pure, no driver."""
