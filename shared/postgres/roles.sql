-- One role and one schema each for the two services that have a database; neither can look into the other's
-- (architecture §1). Run it in the database of Sluice as somebody who may create roles; running it again changes nothing.
DO $$
DECLARE
    role text;
    admin boolean := (SELECT rolsuper FROM pg_roles WHERE rolname = current_user);
BEGIN
    EXECUTE format('REVOKE ALL ON DATABASE %I FROM PUBLIC', current_database());
    REVOKE ALL ON SCHEMA public FROM PUBLIC;
    FOREACH role IN ARRAY ARRAY['catalog', 'executor'] LOOP
        IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = role) THEN
            EXECUTE format('CREATE ROLE %I LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE', role);
        END IF;
        IF NOT admin THEN -- only a member may give a schema to a role
            EXECUTE format('GRANT %I TO CURRENT_USER', role);
        END IF;
        IF NOT EXISTS (SELECT FROM pg_namespace WHERE nspname = role) THEN
            EXECUTE format('CREATE SCHEMA %I AUTHORIZATION %I', role, role);
        END IF;
        EXECUTE format('GRANT CONNECT ON DATABASE %I TO %I', current_database(), role);
        EXECUTE format('ALTER ROLE %I IN DATABASE %I SET search_path = %I', role, current_database(), role);
    END LOOP;
END
$$;
