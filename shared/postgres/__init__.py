"""PostgreSQL for the services that have a database: server, pool, migrations, outbox."""
