"""What the services share: contracts, flows, kernel, messaging, web and telemetry; it knows no service."""
