"""Care of the store: what keeps it quick, and what brings it back."""

from datetime import timedelta

import dagster as dg

from cryptobot_assets.partitions import Partitions
from cryptobot_assets.storage.registry import Registry
from cryptobot_assets.storage.store import EXCHANGE_CLIENTS, TABLES, Store

GROUP = "maintenance"


def maintenance_assets(partitions: Partitions) -> list[dg.AssetsDefinition]:
    """The `store_maintenance` asset of one deployment."""
    settings = partitions.settings

    @dg.asset(
        group_name=GROUP,
        kinds={"python", "deltalake"},
        owners=["team:market-data"],
        code_version="1",
        description=(
            "The store after its upkeep: small files merged and, of a lake, files deleted that only versions older "
            f"than {settings.history_days} days need. Versions that registered models were trained on can be read "
            "again for good. Rows stay as they are, and readers and writers may go on meanwhile."
        ),
    )
    def store_maintenance(
        context: dg.AssetExecutionContext, store: dg.ResourceParam[Store], registry: dg.ResourceParam[Registry]
    ) -> dg.MaterializeResult:
        trained_on = registry.trained_on()
        done = {
            table.name: store.maintain(
                table, history=timedelta(days=settings.history_days), keep=trained_on.get(table.name, frozenset())
            )
            for table in (*TABLES.values(), EXCHANGE_CLIENTS)
        }
        return dg.MaterializeResult(
            metadata={f"{name}/{figure}": value for name, figures in done.items() for figure, value in figures.items()}
        )

    return [store_maintenance]
