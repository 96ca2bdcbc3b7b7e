"""Whose the tables are that a migration makes."""

from __future__ import annotations

OWNERSHIP = """
DO $$
DECLARE name text;
BEGIN
    FOREACH name IN ARRAY ARRAY[{names}] LOOP
        PERFORM cryptobot_grant(name);
        IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'cryptobot_owner') THEN
            BEGIN
                EXECUTE format('ALTER TABLE %I OWNER TO cryptobot_owner', name);
            EXCEPTION WHEN insufficient_privilege OR invalid_grant_operation THEN
                RAISE NOTICE 'table % stays with %', name, current_user;
            END;
        END IF;
    END LOOP;
END $$;
"""


def ownership(*names: str) -> str:
    """The statement that grants the three roles their rights on tables and gives them to the owner, where it may."""
    return OWNERSHIP.replace("{names}", ", ".join(f"'{name}'" for name in names))
