"""The log port in one process, in a SQLite file or in memory: what `sluice up` and most tests run on."""
