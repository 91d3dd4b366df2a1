-- With which key what is current was last said in the log, and when: shared/postgres/repeating.py.
CREATE TABLE IF NOT EXISTS outbox_signer (
    one boolean PRIMARY KEY DEFAULT true CHECK (one),
    signer text NOT NULL,
    said_at timestamptz NOT NULL DEFAULT now()
);
