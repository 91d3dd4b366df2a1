"""What a flow is made of: what a stage type and a policy type are, and every type that this release has."""
