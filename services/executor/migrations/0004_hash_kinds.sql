-- Hashes that other systems made: what they are of, and how many there are of each kind.
ALTER TABLE users ADD COLUMN password_as_typed boolean NOT NULL DEFAULT false; -- a hash of what was typed, not of its NFKC form
-- What verifying it takes: all but the last two fields, which are salt and digest.
ALTER TABLE users ADD COLUMN password_kind text GENERATED ALWAYS AS (substring(password FROM '^(.*)[$][^$]*[$][^$]*$')) STORED;
CREATE INDEX users_password_kind ON users (password_kind) WHERE password_kind IS NOT NULL;
