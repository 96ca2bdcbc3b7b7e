"""Run by alembic, on the connection it is handed or on the store the settings name."""

from __future__ import annotations

from alembic import context

from cryptobot_assets.settings import Settings
from cryptobot_assets.storage.postgres_address import parse_address
from cryptobot_assets.storage.postgres_schema import VERSION_TABLE, migrating

handed = context.config.attributes.get("connection")
if handed is not None:
    context.configure(connection=handed, version_table=VERSION_TABLE)
    context.run_migrations()
else:
    with migrating(parse_address(Settings.load().lake_url)) as connection:
        context.configure(connection=connection, version_table=VERSION_TABLE)
        context.run_migrations()
