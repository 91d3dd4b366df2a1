-- How far each partition of the log reached when it was last looked at: shared/postgres/log_ends.py.
CREATE TABLE IF NOT EXISTS log_ends (
    topic text NOT NULL,
    partition integer NOT NULL,
    reached bigint NOT NULL,
    PRIMARY KEY (topic, partition)
) WITH (fillfactor = 50);
