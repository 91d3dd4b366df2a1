"""What Sluice runs on: a broker, a database, images."""
