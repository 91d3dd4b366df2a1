"""Measurements, never assertions: `make bench` writes what it finds to docs/performance.md."""
