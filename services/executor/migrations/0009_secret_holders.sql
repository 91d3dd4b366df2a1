-- The executors that run, and fingerprints of the SLUICE_SECRET_KEYs that each takes (services/executor/directory/secret_key_check.py).
CREATE TABLE secret_holders (
    holder text PRIMARY KEY, -- a process
    makes bytea NOT NULL, -- with this one it seals and signs
    takes bytea[] NOT NULL,
    until timestamptz NOT NULL -- renewed while it runs
);
