"""`sluice tail`: a topic for people to read, from Kafka or from the embedded log's file while it is written."""
