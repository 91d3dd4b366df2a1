-- Partitions of executor.sessions whose log has lost records: nobody decides a step of theirs until they are repaired (architecture §4.15).
CREATE TABLE set_aside (
    partition integer PRIMARY KEY,
    known_offset bigint NOT NULL, -- what was known of the log
    bound bigint NOT NULL, -- where the log ends, or begins
    reason text NOT NULL,
    since_us bigint NOT NULL,
    repair boolean NOT NULL DEFAULT false -- `sluice sessions repair` has asked for it
);
-- Where the transition stood whose orders were carried out: the furthest of a partition has to stand there still.
ALTER TABLE order_results ADD COLUMN partition integer, ADD COLUMN at_offset bigint;
CREATE INDEX order_results_place ON order_results (partition, at_offset DESC) WHERE at_offset IS NOT NULL;
