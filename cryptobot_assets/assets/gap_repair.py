"""Repair of gaps: the exchange is asked again for what is missing on our side."""

from collections.abc import Iterator, Sequence

import dagster as dg
import polars as pl

from cryptobot_assets.assets.gap_ledger import GROUP, month_figures
from cryptobot_assets.assets.gap_mending import Mended, mend_month
from cryptobot_assets.assets.gap_months import read_market, recorded_spans, write_month
from cryptobot_assets.assets.partition_metadata import add_partition_metadata
from cryptobot_assets.assets.partition_report import KEY_FORMATS, ROW_COUNT
from cryptobot_assets.assets.patience import Patience, fetch_patiently
from cryptobot_assets.domain.sources import Span
from cryptobot_assets.partitions import Partitions
from cryptobot_assets.pools import EXCHANGE
from cryptobot_assets.progress import Progress
from cryptobot_assets.storage.history import Fetched, History
from cryptobot_assets.storage.store import KLINES, Store


def gap_repair_assets(partitions: Partitions) -> list[dg.AssetsDefinition]:
    """The `gap_repair` asset of one deployment."""
    settings = partitions.settings
    patience = Patience(settings.retries, settings.retry_seconds)

    @dg.asset(
        deps=["gap_ledger"],
        partitions_def=partitions.months,
        backfill_policy=dg.BackfillPolicy.single_run(),
        pool=EXCHANGE,
        group_name=GROUP,
        kinds={"python", "deltalake"},
        owners=["team:market-data"],
        code_version="1",
        description=(
            "A month's gaps after the exchange and its archives were asked again for what is missing on our side: "
            "klines they have are stored, other rows left alone, and the indicators that read them computed anew; "
            "what they do not have is a halt or an outage from then on. Doing it again asks for nothing."
        ),
    )
    def gap_repair(
        context: dg.AssetExecutionContext,
        history: dg.ResourceParam[History],
        store: dg.ResourceParam[Store],
        progress: dg.ResourceParam[Progress],
    ) -> dg.MaterializeResult:
        ingested, indicated = (
            recorded_spans(context.instance, partitions, layer) for layer in ("klines", "indicators")
        )

        def fetch(spans: Sequence[Span]) -> Iterator[Fetched]:
            return fetch_patiently(history, spans, settings.interval, progress, patience, context.log)

        told, live = {}, partitions.live(context.instance)
        for key in context.partition_keys:
            start, end = partitions.month(key)
            mended = mend_month(start, end, indicated, live, fetch, store, progress)
            told[key] = repair_figures(mended)
            market = read_market(store, live, ingested) if mended else None
            if market is not None:
                asked = pl.concat([one.unanswered for one in mended])
                told[key] |= month_figures(write_month(store, market, start, end, asked=asked))
            for event in partition_events(mended, live, store):
                context.log_event(event)
        add_partition_metadata(context, told)
        return dg.MaterializeResult()

    return [gap_repair]


def repair_figures(mended: Sequence[Mended]) -> dict[str, object]:
    """How many klines were mended, which, how many the exchange does not have, and who refused."""
    refusals = [one.refusal for one in mended if one.refusal]
    figures: dict[str, object] = {
        "mended_klines": sum(one.klines.height for one in mended),
        "indicators_computed_anew": sum(one.indicators.height for one in mended),
        "klines_the_exchange_has_not": sum(one.unanswered["missing"].sum() for one in mended),
        "currencies_refused": len(refusals),
    }
    return figures | (
        {"refusals": dg.MetadataValue.md("\n".join(f"- {line}" for line in refusals))} if refusals else {}
    )


def partition_events(
    mended: Sequence[Mended], partitions: Partitions, store: Store
) -> Iterator[dg.AssetMaterialization]:
    """That partitions of klines and indicators were written, with their rows now."""
    groups = {currency: group for group in partitions.groups for currency in group.currencies}
    for one in mended:
        for layer, keys in (("klines", one.klines), ("indicators", one.indicators)):
            counted = keys.with_columns(key=pl.col("time").dt.strftime(KEY_FORMATS[partitions.span_name]))
            for currency, key, rows in counted.group_by("currency", "key", maintain_order=True).len().iter_rows():
                figures = {ROW_COUNT: rows}
                if layer == "klines":
                    start, end = partitions.span(key)
                    held = store.read(KLINES, start=start, end=end, columns=["time"], currency=currency)
                    figures = {ROW_COUNT: held.height, "mended_klines": rows}
                yield dg.AssetMaterialization(
                    groups[currency].asset(layer), partition=f"{currency}|{key}", metadata=figures
                )
