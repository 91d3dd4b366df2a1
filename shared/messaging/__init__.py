"""The log port with its Kafka and embedded adapters, and what every service builds on it."""
