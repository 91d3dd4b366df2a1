-- What a transaction wants to be said in the log; the relay deletes a row once the log has acknowledged it.
CREATE TABLE outbox (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    xid xid8 NOT NULL DEFAULT pg_current_xact_id(), -- what one transaction says is published one after the other
    topic text NOT NULL,
    partition integer NOT NULL,
    key bytea,
    value bytea, -- NULL: a tombstone
    headers bytea NOT NULL, -- msgpack: [[name, value], ...]
    created_at timestamptz NOT NULL DEFAULT now()
)
WITH (fillfactor = 100, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000);
