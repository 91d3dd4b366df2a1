-- Who carries the outbox into the log, and until when by PostgreSQL's clock: shared/postgres/lead.py.
CREATE TABLE IF NOT EXISTS outbox_lead (
    one boolean PRIMARY KEY DEFAULT true CHECK (one),
    holder text NOT NULL,
    until timestamptz NOT NULL
)
WITH (fillfactor = 10, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 500);
-- What compacted topics were told stays for a minute after it was acknowledged, so that a successor can say it again: shared/postgres/relay.py.
ALTER TABLE outbox ADD COLUMN IF NOT EXISTS said_at timestamptz;
