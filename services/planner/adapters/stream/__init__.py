"""The planner on the log: a member of the group that answers `planner.requests`."""
