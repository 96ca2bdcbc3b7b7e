"""Care of the store: what keeps it quick, and what brings it back."""

from contextlib import nullcontext
from datetime import timedelta

import dagster as dg

from cryptobot_assets.partitions import Partitions
from cryptobot_assets.progress import Progress
from cryptobot_assets.storage.registry import Registry
from cryptobot_assets.storage.store import EXCHANGE_CLIENTS, TABLES, Store

GROUP = "maintenance"


def maintenance_assets(partitions: Partitions) -> list[dg.AssetsDefinition]:
    """The `store_backup` and `store_maintenance` assets of one deployment."""
    settings = partitions.settings

    @dg.asset(
        group_name=GROUP,
        kinds={"python", "deltalake", "postgres"},
        owners=["team:market-data"],
        code_version="1",
        description=(
            "A backup of the store, the bookkeeping of Dagster and MLflow and the registered models, as of one "
            f"instant. The newest {settings.backups_kept} stay; only what changed since the one before is written. "
            "`cryptobot restore` brings everything back."
        ),
    )
    def store_backup(context: dg.AssetExecutionContext, progress: dg.ResourceParam[Progress]) -> dg.MaterializeResult:
        from cryptobot_assets.storage.backup import backup_place, make_backup  # every other run does without them

        made = make_backup(settings, lambda title, megabytes: nullcontext(progress))
        tables = made.manifest.store["tables"]
        return dg.MaterializeResult(
            metadata={
                "backup": made.manifest.name,
                "place": backup_place(settings).url,
                "bytes": made.manifest.bytes,
                "new_bytes": made.written_bytes,
                "files": len(made.manifest.entries),
                **{f"{name}/rows": facts["rows"] for name, facts in tables.items()},
                "forgotten": made.forgotten,
                "left_out": made.manifest.left_out,
            }
        )

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

    return [store_backup, store_maintenance]
