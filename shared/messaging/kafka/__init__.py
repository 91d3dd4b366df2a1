"""The log port on Apache Kafka: what every service runs on in production."""
