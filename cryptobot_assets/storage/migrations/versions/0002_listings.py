"""Why a gap is there, when currencies traded, and which machines read from an exchange."""

from __future__ import annotations

from alembic import op

from cryptobot_assets.storage.migrations.ownership import ownership

revision = "0002"
down_revision = "0001"


def present(*names: str) -> str:
    return ", ".join(f'CONSTRAINT {name}_is_present CHECK ("{name}" IS NOT NULL)' for name in names)


TABLES = f"""
ALTER TABLE gaps ADD COLUMN kind text COLLATE "C";

CREATE TABLE listings (
    currency text COLLATE "C", time timestamptz, "end" timestamptz,
    base text COLLATE "C", quote text COLLATE "C", kind text COLLATE "C", position bigint,
    PRIMARY KEY (currency, time),
    {present("currency", "time", "base", "quote", "kind", "position")},
    CONSTRAINT end_is_after_time CHECK ("end" IS NULL OR "end" > "time")
);

CREATE TABLE exchange_clients (
    exchange text COLLATE "C", client text COLLATE "C", time timestamptz, blocked_until timestamptz,
    PRIMARY KEY (exchange, client),
    {present("exchange", "client", "time")}
);
"""

OWNERSHIP = ownership("listings", "exchange_clients")


def upgrade() -> None:
    """Add the column and the tables; alembic holds it in one transaction."""
    for statements in (TABLES, OWNERSHIP):
        op.get_bind().exec_driver_sql(statements.replace("%", "%%"))


def downgrade() -> None:
    """Forget them."""
    op.get_bind().exec_driver_sql("DROP TABLE exchange_clients, listings; ALTER TABLE gaps DROP COLUMN kind")
