-- What a name looks like: services/executor/rules/lookalikes.py. Until now all names were of ASCII after folding.
ALTER TABLE users ADD COLUMN username_looks text[] NOT NULL DEFAULT '{}';
UPDATE users SET username_looks = ARRAY[lower(translate(username, '`|IilO', '''11110')), translate(username_canonical, '`|IilO', '''11110')];
CREATE INDEX users_looks ON users USING gin (username_looks);
