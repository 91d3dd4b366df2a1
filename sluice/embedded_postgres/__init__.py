"""The PostgreSQL that `sluice up` brings along: who it runs as, how it is started, how it ends."""
