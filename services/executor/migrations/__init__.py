"""The schema `executor`: users and what belongs to them, as numbered SQL files (shared/postgres/migrations.py)."""
