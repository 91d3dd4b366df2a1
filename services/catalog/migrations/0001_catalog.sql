-- The truth: who changed which definition, in order. Nothing here is ever changed or removed.
CREATE TABLE events (
    position bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    stream text NOT NULL, -- <kind>/<pk>
    version integer NOT NULL CHECK (version > 0),
    what text NOT NULL CHECK (what IN ('created', 'changed', 'deleted')),
    actor text NOT NULL,
    at_us bigint NOT NULL,
    before jsonb,
    after jsonb,
    UNIQUE (stream, version)
);

CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'events are append-only';
END
$$;
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON events FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER append_only_whole BEFORE TRUNCATE ON events FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

-- What the events amount to: the definitions as they are now, written in the transaction of their events.
CREATE TABLE definitions (
    kind text NOT NULL,
    pk uuid NOT NULL,
    ptr uuid UNIQUE, -- the second id of flows and flow bindings
    type text NOT NULL, -- of a stage or policy, else empty
    version integer NOT NULL,
    name text NOT NULL,
    fields jsonb NOT NULL,
    PRIMARY KEY (kind, pk)
);
-- The domain checks these first and in authentik's words; here they hold even against a mistake there.
CREATE UNIQUE INDEX definitions_name ON definitions (kind, name) WHERE kind IN ('flow', 'stage', 'policy', 'brand');
CREATE UNIQUE INDEX definitions_stage_order ON definitions ((fields ->> 'target'), (fields ->> 'stage'), (fields ->> 'order'))
    WHERE kind = 'flow_binding';
CREATE UNIQUE INDEX definitions_policy_order ON definitions ((fields ->> 'target'), (fields ->> 'policy'), (fields ->> 'order'))
    WHERE kind = 'policy_binding';
CREATE UNIQUE INDEX definitions_default_brand ON definitions (kind) WHERE kind = 'brand' AND (fields -> 'default') = 'true'::jsonb;

-- What the readers of catalog.definitions have been told.
CREATE TABLE pointers (
    kind text NOT NULL,
    pk uuid NOT NULL,
    version integer NOT NULL,
    name text NOT NULL,
    body text NOT NULL,
    needs text[] NOT NULL,
    removed_us bigint, -- when the object went; its tombstone follows
    PRIMARY KEY (kind, pk)
);
CREATE TABLE bodies (
    hash text PRIMARY KEY,
    free_us bigint -- since when no pointer needs it; its tombstone follows once no run can be pinned to it
);

-- Which shipped files have been applied, so that only a changed file is applied again.
CREATE TABLE applied_files (
    name text PRIMARY KEY,
    hash text NOT NULL,
    at_us bigint NOT NULL
);
