"""The first tables: klines, indicators with a table a currency, predictions, gaps; and who may do what.

Three roles stand for groups, without login: `cryptobot_owner` owns the tables and migrates them,
`cryptobot_writer` reads and writes rows, `cryptobot_reader` only reads. They are made when the
migrating user may make roles, and used when they are there; `GRANT cryptobot_reader TO someone`
lets someone in.
"""

from __future__ import annotations

from alembic import op

revision = "0001"
down_revision = None

INDICATORS = (
    "close_minmax_scale", "ma7_25h", "ma25_99h", "ma7_25d", "ma25_99d", "ma7_25h_scale", "ma25_99h_scale",
    "ma7_25d_scale", "ma25_99d_scale", "rsi_14h", "macd_12_26_9h", "bollinger_20h",
)  # fmt: skip


def finite(*names: str) -> str:
    """To PostgreSQL NaN and infinity are numbers, NaN the largest of all."""
    each = " AND ".join(f"({name} IS NULL OR abs({name}) < 1e30)" for name in names)
    return f"CONSTRAINT numbers_are_finite CHECK ({each})"


def present(*names: str) -> str:
    return ", ".join(f'CONSTRAINT {name}_is_present CHECK ("{name}" IS NOT NULL)' for name in names)


TABLES = f"""
CREATE TABLE klines (
    currency text COLLATE "C", time timestamptz,
    open double precision, high double precision, low double precision, close double precision,
    volume double precision, quote_volume double precision, trades bigint, source text COLLATE "C",
    PRIMARY KEY (currency, time),
    {present("currency", "time", "open", "high", "low", "close", "volume", "source")},
    {finite("open", "high", "low", "close", "volume", "quote_volume")},
    CONSTRAINT high_is_highest CHECK (high >= open AND high >= close),
    CONSTRAINT low_is_lowest CHECK (low <= open AND low <= close),
    CONSTRAINT low_is_positive CHECK (low > 0),
    CONSTRAINT volume_is_not_negative CHECK (volume >= 0)
);

CREATE TABLE indicators (
    currency text COLLATE "C", time timestamptz, close double precision,
    {", ".join(f"{name} double precision" for name in INDICATORS)},
    PRIMARY KEY (currency, time),
    {present("currency", "time", "close")},
    {finite("close", *INDICATORS)},
    CONSTRAINT close_is_positive CHECK (close > 0)
) PARTITION BY LIST (currency);

CREATE TABLE predictions (
    market text COLLATE "C", algorithm text COLLATE "C", version text COLLATE "C", currency text COLLATE "C",
    time timestamptz, predicted_return double precision, realised_return double precision, cutoff timestamptz,
    PRIMARY KEY (market, algorithm, version, currency, time),
    {present("market", "algorithm", "version", "currency", "time", "predicted_return", "cutoff")},
    {finite("predicted_return", "realised_return")},
    CONSTRAINT time_is_at_or_after_cutoff CHECK (time >= cutoff)
);

CREATE TABLE gaps (
    currency text COLLATE "C", time timestamptz, "end" timestamptz, missing bigint,
    PRIMARY KEY (currency, time),
    {present("currency", "time", "end", "missing")},
    CONSTRAINT end_is_after_time CHECK ("end" > time)
);

CREATE TABLE cryptobot_writes (
    table_name text COLLATE "C", part text COLLATE "C", writes bigint NOT NULL,
    PRIMARY KEY (table_name, part)
);
"""

ROLES = """
DO $$
DECLARE name text;
BEGIN
    FOREACH name IN ARRAY ARRAY['cryptobot_owner', 'cryptobot_writer', 'cryptobot_reader'] LOOP
        IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = name) THEN
            BEGIN
                EXECUTE format('CREATE ROLE %I NOLOGIN', name);
            EXCEPTION WHEN insufficient_privilege OR duplicate_object OR unique_violation THEN
                NULL;
            END;
        END IF;
    END LOOP;
END $$;
"""

GRANTS = """
CREATE FUNCTION cryptobot_grant(name text) RETURNS void LANGUAGE plpgsql
SET search_path = @schema, pg_temp AS $$
BEGIN
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'cryptobot_writer') THEN
        EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE ON %I TO cryptobot_writer', name);
    END IF;
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'cryptobot_reader') THEN
        EXECUTE format('GRANT SELECT ON %I TO cryptobot_reader', name);
    END IF;
END $$;
"""

MAKE_INDICATORS = """
CREATE FUNCTION cryptobot_make_indicators(currency text) RETURNS void LANGUAGE plpgsql SECURITY DEFINER
SET search_path = @schema, pg_temp AS $$
DECLARE child text := 'indicators_' || lower(currency);
BEGIN
    PERFORM pg_advisory_xact_lock(hashtextextended('cryptobot ' || child, 0));
    IF to_regclass(quote_ident(child)) IS NOT NULL THEN
        RETURN;
    END IF;
    EXECUTE format('CREATE TABLE %I (LIKE indicators INCLUDING ALL)', child);
    EXECUTE format('ALTER TABLE indicators ATTACH PARTITION %I FOR VALUES IN (%L)', child, currency);
    PERFORM cryptobot_grant(child);
END $$;
REVOKE EXECUTE ON FUNCTION cryptobot_make_indicators(text) FROM PUBLIC;
"""

OWNERSHIP = """
DO $$
DECLARE name text;
BEGIN
    FOREACH name IN ARRAY ARRAY['klines', 'indicators', 'predictions', 'gaps', 'cryptobot_writes'] LOOP
        PERFORM cryptobot_grant(name);
    END LOOP;
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'cryptobot_reader') THEN
        GRANT SELECT ON cryptobot_alembic_version TO cryptobot_reader;
    END IF;
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'cryptobot_writer') THEN
        GRANT SELECT ON cryptobot_alembic_version TO cryptobot_writer;
        GRANT EXECUTE ON FUNCTION cryptobot_make_indicators(text) TO cryptobot_writer;
    END IF;
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'cryptobot_owner') THEN
        RETURN;
    END IF;
    BEGIN
        EXECUTE format('GRANT cryptobot_owner TO %I', current_user);
        EXECUTE format('GRANT USAGE, CREATE ON SCHEMA %I TO cryptobot_owner', current_schema);
        FOREACH name IN ARRAY ARRAY['klines', 'indicators', 'predictions', 'gaps', 'cryptobot_writes',
                                    'cryptobot_alembic_version'] LOOP
            EXECUTE format('ALTER TABLE %I OWNER TO cryptobot_owner', name);
        END LOOP;
        ALTER FUNCTION cryptobot_grant(text) OWNER TO cryptobot_owner;
        ALTER FUNCTION cryptobot_make_indicators(text) OWNER TO cryptobot_owner;
    EXCEPTION WHEN insufficient_privilege OR invalid_grant_operation THEN
        RAISE NOTICE 'the tables stay with %', current_user;
    END;
END $$;
"""


def upgrade() -> None:
    """Make everything; alembic holds it in one transaction."""
    bind = op.get_bind()
    schema = bind.exec_driver_sql("SELECT quote_ident(current_schema)").scalar_one()
    for statements in (TABLES, ROLES, GRANTS, MAKE_INDICATORS, OWNERSHIP):
        bind.exec_driver_sql(statements.replace("@schema", schema).replace("%", "%%"))


def downgrade() -> None:
    """Drop everything but the roles, which other databases of the server may use."""
    op.get_bind().exec_driver_sql(
        "DROP FUNCTION cryptobot_make_indicators(text), cryptobot_grant(text);"
        "DROP TABLE klines, indicators, predictions, gaps, cryptobot_writes"
    )
