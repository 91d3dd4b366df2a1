-- What is said of a token has a version, drawn under the lock of its user; a revoked one is remembered until it would have expired,
-- so that it can be said again that it is over.
CREATE SEQUENCE token_versions;
CREATE TABLE revoked_tokens (
    hash bytea PRIMARY KEY,
    user_pk integer NOT NULL,
    version bigint NOT NULL,
    expires_us bigint -- NULL: never forgotten
);
-- Which SLUICE_SECRET_KEY this installation has, as an HMAC under it (services/executor/directory/secret_key_check.py).
CREATE TABLE secret_check (
    one boolean PRIMARY KEY DEFAULT true CHECK (one),
    fingerprint bytea NOT NULL
);
