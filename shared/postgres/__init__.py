"""PostgreSQL: an embedded server, and what every service does alike with its database."""
