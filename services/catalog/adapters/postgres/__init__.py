"""The catalog in PostgreSQL: events, what they amount to, what readers were told, and the outbox."""
