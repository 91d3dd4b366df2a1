-- Never has a row: readiness writes one and takes it back, to know whether a visitor's write would be taken.
CREATE TABLE IF NOT EXISTS write_probe (at timestamptz NOT NULL DEFAULT now())
WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 500);
