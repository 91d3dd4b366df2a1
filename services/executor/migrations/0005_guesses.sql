-- Slots of guesses (services/executor/rules/limits.py), and whom a network is known to. A row holds an hour, no more: what was
-- not touched for that long is deleted, of accounts and of names that nobody has alike.
DROP TABLE account_guesses;
CREATE TABLE account_guesses (
    counter bytea PRIMARY KEY, -- of a user, or of a name that nobody has: one of 2^20
    slots bytea NOT NULL, -- msgpack
    revision bigint NOT NULL, -- another at each change
    at_us bigint NOT NULL
) WITH (fillfactor = 70);

DROP TABLE address_guesses;
CREATE TABLE address_guesses (
    address text PRIMARY KEY,
    failures integer NOT NULL, -- in the window
    pending integer NOT NULL, -- attempts under way
    window_us bigint NOT NULL, -- begin of the window
    at_us bigint NOT NULL,
    allowed boolean NOT NULL -- whether the last attempt was
) WITH (fillfactor = 50);

ALTER TABLE logins ADD COLUMN network text NOT NULL DEFAULT ''; -- the bucket of `address`; empty: of before this column
CREATE INDEX logins_network ON logins (user_pk, network);
