-- The first version of a flow whose runs go on: what was planned from an earlier one ends at its next step.
ALTER TABLE pointers ADD COLUMN runs_from integer NOT NULL DEFAULT 0;
