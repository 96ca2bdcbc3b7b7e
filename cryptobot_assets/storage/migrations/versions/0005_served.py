"""Predictions the service gave, and what became of them."""

from __future__ import annotations

from alembic import op

from cryptobot_assets.storage.migrations.ownership import ownership

revision = "0005"
down_revision = "0004"

TEXTS = ("prediction_id", "role", "route", "market", "algorithm", "version", "registered_name", "verdict")
OUTCOME_TEXTS = ("prediction_id", "role", "market", "algorithm", "version", "currency")


def texts(*names: str) -> str:
    return ", ".join(f'{name} text COLLATE "C"' for name in names)


def present(*names: str) -> str:
    return ", ".join(f'CONSTRAINT {name}_is_present CHECK ("{name}" IS NOT NULL)' for name in names)


def finite(*names: str) -> str:
    tests = " AND ".join(f'("{name}" IS NULL OR abs("{name}") < 1e30)' for name in names)
    return f"CONSTRAINT numbers_are_finite CHECK ({tests})"


TABLES = f"""
CREATE TABLE served_predictions (
    {texts("prediction_id", "role")}, position bigint, served_at timestamptz,
    {texts(*TEXTS[2:], "caller", "currency")},
    time timestamptz, known_at timestamptz, rows bigint, predicted_return double precision,
    interval_low double precision, interval_high double precision,
    PRIMARY KEY (prediction_id, role, position),
    {present(*TEXTS, "position", "served_at", "currency", "rows")},
    {finite("predicted_return", "interval_low", "interval_high")},
    CONSTRAINT rows_are_counted CHECK (rows >= 1)
);
CREATE INDEX served_predictions_by_currency ON served_predictions (currency, served_at);
CREATE INDEX served_predictions_by_time ON served_predictions (served_at);

CREATE TABLE prediction_outcomes (
    {texts("prediction_id", "role")}, position bigint, served_at timestamptz,
    {texts(*OUTCOME_TEXTS[2:])}, time timestamptz, label_end_time timestamptz,
    predicted_return double precision, realised_return double precision,
    PRIMARY KEY (prediction_id, role, position),
    {present(*OUTCOME_TEXTS, "position", "served_at", "time", "label_end_time", "predicted_return", "realised_return")},
    {finite("predicted_return", "realised_return")},
    CONSTRAINT outcome_is_after_its_row CHECK (label_end_time > time)
);
CREATE INDEX prediction_outcomes_by_currency ON prediction_outcomes (currency, served_at);
CREATE INDEX prediction_outcomes_by_time ON prediction_outcomes (served_at);
"""

OWNERSHIP = ownership("served_predictions", "prediction_outcomes")


def upgrade() -> None:
    """Make the tables; alembic holds it in one transaction."""
    for statements in (TABLES, OWNERSHIP):
        op.get_bind().exec_driver_sql(statements.replace("%", "%%"))


def downgrade() -> None:
    """Forget them."""
    op.get_bind().exec_driver_sql("DROP TABLE prediction_outcomes, served_predictions")
