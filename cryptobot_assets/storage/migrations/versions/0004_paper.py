"""What the paper bot decided, traded and was worth."""

from __future__ import annotations

from alembic import op

from cryptobot_assets.storage.migrations.ownership import ownership

revision = "0004"
down_revision = "0003"

NAMES = ("paper_decisions", "paper_fills", "paper_balances")


def present(*names: str) -> str:
    return ", ".join(f'CONSTRAINT {name}_is_present CHECK ("{name}" IS NOT NULL)' for name in names)


def finite(*names: str) -> str:
    """To PostgreSQL NaN and infinity are numbers, NaN the largest of all."""
    each = " AND ".join(f"({name} IS NULL OR abs({name}) < 1e30)" for name in names)
    return f"CONSTRAINT numbers_are_finite CHECK ({each})"


def columns(kind: str, *names: str) -> str:
    return ", ".join(f"{name} {kind}" for name in names)


TEXT = 'text COLLATE "C"'
WEIGHTS = ("predicted_return", "held_weight", "target_weight", "price", "quantity")
FILLED = ("quantity", "price", "cost")
AMOUNTS = (
    "capital", "sleeve_cash", "cash", "holdings", "equity", "universe_equity", "bitcoin_equity", "cost", "traded",
)  # fmt: skip

TABLES = f"""
CREATE TABLE paper_decisions (
    {columns(TEXT, "market", "currency")}, time timestamptz, {columns(TEXT, "algorithm", "version")},
    predicted_return double precision, rank bigint, {columns("double precision", *WEIGHTS[1:])}, note {TEXT},
    PRIMARY KEY (market, currency, time),
    {present("market", "currency", "time", "algorithm", "version", *WEIGHTS[1:])},
    {finite(*WEIGHTS)},
    CONSTRAINT weights_are_shares CHECK (held_weight >= 0 AND target_weight >= 0 AND target_weight < 1.000001),
    CONSTRAINT quantity_is_not_negative CHECK (quantity >= 0)
);

CREATE TABLE paper_fills (
    {columns(TEXT, "market", "account", "currency")}, time timestamptz, filled_at timestamptz,
    {columns(TEXT, "side")}, {columns("double precision", *FILLED)},
    PRIMARY KEY (market, account, currency, time),
    {present("market", "account", "currency", "time", "filled_at", "side", *FILLED)},
    {finite(*FILLED)},
    CONSTRAINT side_is_buy_or_sell CHECK (side = 'buy' OR side = 'sell'),
    CONSTRAINT fills_come_at_or_after_their_hour CHECK (filled_at >= time),
    CONSTRAINT something_is_filled CHECK (quantity > 0 AND price > 0 AND cost >= 0)
);

CREATE TABLE paper_balances (
    {columns(TEXT, "market", "currency")}, time timestamptz, {columns(TEXT, "rule")},
    {columns("double precision", *AMOUNTS)}, note {TEXT},
    PRIMARY KEY (market, currency, time),
    {present("market", "currency", "time", "rule", *(name for name in AMOUNTS if name != "bitcoin_equity"))},
    {finite(*AMOUNTS)},
    CONSTRAINT nothing_is_borrowed CHECK (cash >= 0 AND sleeve_cash >= 0 AND holdings >= 0),
    CONSTRAINT equity_is_cash_and_holdings CHECK (abs(equity - cash - holdings) <= 0.000001 * capital)
);
"""

OWNERSHIP = ownership(*NAMES)


def upgrade() -> None:
    """Make the tables; alembic holds it in one transaction."""
    for statements in (TABLES, OWNERSHIP):
        op.get_bind().exec_driver_sql(statements.replace("%", "%%"))


def downgrade() -> None:
    """Forget them."""
    op.get_bind().exec_driver_sql(f"DROP TABLE {', '.join(NAMES)}")
