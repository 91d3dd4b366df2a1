"""OpenTelemetry set-up, propagation, and every name that we give to spans and metrics."""
