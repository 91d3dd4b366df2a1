-- When an edge last looked a login up: it ends when that is too long ago (services/executor/rules/login_life.py).
ALTER TABLE logins ADD COLUMN seen_us bigint;
CREATE INDEX logins_idle ON logins ((coalesce(seen_us, at_us))) WHERE ended_us IS NULL;
CREATE INDEX logins_old ON logins (at_us) WHERE ended_us IS NULL;
