"""The tables of the outbox, as numbered SQL files."""
