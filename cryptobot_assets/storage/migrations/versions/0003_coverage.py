"""Klines expected and stored of every currency and day."""

from __future__ import annotations

from alembic import op

revision = "0003"
down_revision = "0002"

COUNTS = ("expected", "stored", "outage", "halt", "not_listed", "delisted", "missing")

TABLES = f"""
CREATE TABLE coverage (
    currency text COLLATE "C", time timestamptz, {", ".join(f"{name} bigint" for name in COUNTS)},
    PRIMARY KEY (currency, time),
    {", ".join(f'CONSTRAINT {name}_is_present CHECK ("{name}" IS NOT NULL)' for name in ("currency", "time", *COUNTS))},
    CONSTRAINT expected_is_stored_or_lacking CHECK (stored + outage + halt + missing = expected)
);
"""

OWNERSHIP = """
DO $$
BEGIN
    PERFORM cryptobot_grant('coverage');
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'cryptobot_owner') THEN
        BEGIN
            ALTER TABLE coverage OWNER TO cryptobot_owner;
        EXCEPTION WHEN insufficient_privilege OR invalid_grant_operation THEN
            RAISE NOTICE 'table coverage stays with %', current_user;
        END;
    END IF;
END $$;
"""


def upgrade() -> None:
    """Make the table; alembic holds it in one transaction."""
    for statements in (TABLES, OWNERSHIP):
        op.get_bind().exec_driver_sql(statements.replace("%", "%%"))


def downgrade() -> None:
    """Forget it."""
    op.get_bind().exec_driver_sql("DROP TABLE coverage")
