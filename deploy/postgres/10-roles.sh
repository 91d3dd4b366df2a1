#!/bin/sh
# Run once by the official PostgreSQL image when its volume is new: the roles and schemas of Sluice, then their passwords.
# For a PostgreSQL elsewhere: create the database, run shared/postgres/roles.sql in it, set the two passwords.
set -eu
run() { psql --no-psqlrc --quiet --set ON_ERROR_STOP=1 --username "$POSTGRES_USER" --dbname "$POSTGRES_DB" "$@"; }
run --file /roles.sql
run --set catalog="$CATALOG_PASSWORD" --set executor="$EXECUTOR_PASSWORD" <<'SQL'
ALTER ROLE catalog PASSWORD :'catalog';
ALTER ROLE executor PASSWORD :'executor';
SQL
