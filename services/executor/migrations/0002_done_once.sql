-- What is done once per installation and never again, whatever is deleted later.
CREATE TABLE done_once (
    what text PRIMARY KEY,
    at_us bigint NOT NULL
);
INSERT INTO done_once (what, at_us) SELECT 'first administrator', 0 FROM groups WHERE name = 'authentik Admins';
