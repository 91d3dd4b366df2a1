"""Users, logins and keys in PostgreSQL."""
