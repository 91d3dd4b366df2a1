"""A Kafka broker for development, tests and measurements."""
