"""Policy on the log: a member of the group that answers `policy.requests`."""
