"""What the store tells: freshness, gaps, outcomes of served predictions, the paper bot.

Freshness is looked at every time, since both engines tell it without reading rows. The rest is read
again only after its table has changed.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta

from cryptobot_assets.automation.clock import market_now
from cryptobot_assets.automation.freshness import trading
from cryptobot_assets.domain.gap_grid import CLASSED
from cryptobot_assets.domain.intervals import interval_delta
from cryptobot_assets.domain.paper_figures import figures_of
from cryptobot_assets.domain.paper_ledger import BITCOIN, BOT, UNIVERSE
from cryptobot_assets.domain.served import ROLES
from cryptobot_assets.leaderboard import costs_of
from cryptobot_assets.monitoring.families import Figure
from cryptobot_assets.settings import Settings
from cryptobot_assets.storage.store import (
    COVERAGE,
    GAPS,
    INDICATORS,
    KLINES,
    PAPER_BALANCES,
    PREDICTION_OUTCOMES,
    Store,
    Table,
    newest_times,
)

MOST_CURRENCIES = 100
OUTCOME_DAYS = 7
UNCLASSED = "unclassed"
GAP_KINDS = (*(kind.word for kind in CLASSED), UNCLASSED)


class StoreWatch:
    """Reads a store; `now` is the clock of this machine."""

    def __init__(
        self, store: Store, settings: Settings, *, now: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        self._store = store
        self._settings = settings
        self._now = now
        self._held: dict[str, tuple[object, list[Figure]]] = {}
        self._booked: datetime | None = None

    def __call__(self) -> list[Figure]:
        """Every figure of the store; raises `StoreError` when it cannot be read."""
        present = market_now(self._settings, self._store, self._now())
        return [
            *self._freshness(present),
            *self._unless_unchanged(COVERAGE, self._coverage),
            *self._unless_unchanged(GAPS, self._gaps),
            *self._unless_unchanged(PREDICTION_OUTCOMES, self._outcomes, self._now().date()),
            *self._unless_unchanged(PAPER_BALANCES, self._paper),
            *self._paper_age(present),
        ]

    def _unless_unchanged(self, table: Table, read: Callable[[], list[Figure]], *also: object) -> list[Figure]:
        key = (self._store.version(table), *also)
        if table.name not in self._held or self._held[table.name][0] != key:
            self._held[table.name] = (key, read())
        return self._held[table.name][1]

    def _freshness(self, present: datetime) -> list[Figure]:
        klines = trading(self._store, self._settings)
        indicators = newest_times(self._store, INDICATORS)
        made = {name: indicators[name] for name in klines if name in indicators}
        return [*self._ages(KLINES, klines, present), *self._ages(INDICATORS, made, present)]

    def _ages(self, table: Table, newest: Mapping[str, datetime], present: datetime) -> list[Figure]:
        step, named = interval_delta(self._settings.interval), {"table": table.name}
        ages = {name: max((present - time - step).total_seconds(), 0.0) for name, time in newest.items()}
        found = [Figure("cryptobot_currencies", len(ages), named)]
        if ages:
            found.append(Figure("cryptobot_stalest_row_age_seconds", max(ages.values()), named))
            found.append(Figure("cryptobot_median_row_age_seconds", statistics.median(ages.values()), named))
        stalest = sorted(ages, key=lambda name: (-ages[name], name))[:MOST_CURRENCIES]
        found += [
            Figure("cryptobot_newest_row_age_seconds", ages[name], {**named, "currency": name}) for name in stalest
        ]
        return found

    def _coverage(self) -> list[Figure]:
        rows = self._store.read(COVERAGE, columns=["expected", "stored"])
        return [
            Figure("cryptobot_klines_expected", int(rows["expected"].sum())),
            Figure("cryptobot_klines_stored", int(rows["stored"].sum())),
        ]

    def _gaps(self) -> list[Figure]:
        rows = self._store.read(GAPS, columns=["missing", "kind"]).to_dict(as_series=False)
        runs, klines = dict.fromkeys(GAP_KINDS, 0), dict.fromkeys(GAP_KINDS, 0)
        for missing, kind in zip(rows["missing"], rows["kind"], strict=True):
            of = kind if kind in runs else UNCLASSED
            runs[of] += 1
            klines[of] += missing
        return [
            figure
            for kind in GAP_KINDS
            for figure in (
                Figure("cryptobot_gaps", runs[kind], {"kind": kind}),
                Figure("cryptobot_klines_lacking", klines[kind], {"kind": kind}),
            )
        ]

    def _outcomes(self) -> list[Figure]:
        """Errors of what was served, whichever model served it."""
        since = self._now() - timedelta(days=OUTCOME_DAYS + 1)  # an outcome is known a day later
        rows = self._store.query(
            "SELECT role, count(*) AS rows, avg((predicted_return - realised_return) ** 2) AS missed, "
            "avg(realised_return ** 2) AS zero, "
            "avg(CASE WHEN (predicted_return > 0) = (realised_return > 0) THEN 1.0 ELSE 0.0 END) AS right_way "
            f"FROM {PREDICTION_OUTCOMES.name} WHERE served_at >= TIMESTAMPTZ '{since.isoformat()}' GROUP BY role"
        )
        by_role = {row["role"]: row for row in rows.iter_rows(named=True)}
        found = []
        for role in ROLES:
            row, label = by_role.get(role), {"role": role}
            found.append(Figure("cryptobot_outcomes", row["rows"] if row else 0, label))
            if row and row["zero"]:
                found.append(Figure("cryptobot_outcome_mse_ratio", row["missed"] / row["zero"], label))
                found.append(Figure("cryptobot_outcome_direction_ratio", row["right_way"], label))
        return found

    def _paper(self) -> list[Figure]:
        market, costs = self._settings.service_market, costs_of(self._settings)
        balances = self._store.read(PAPER_BALANCES, market=market)
        figures = figures_of(balances, costs, seed=self._settings.seed)
        self._booked = figures.end if figures else None
        if figures is None:
            return []
        named = {"market": market}
        worth = {BOT: figures.net, UNIVERSE: figures.universe, BITCOIN: figures.bitcoin}
        costly = named | {"cost_bps": told_costs(self._settings)}
        found = [
            Figure("cryptobot_paper_equity_ratio", value, {**costly, "account": account})
            for account, value in worth.items()
            if value is not None
        ]
        found.append(Figure("cryptobot_paper_hours", figures.hours, named))
        found.append(Figure("cryptobot_paper_over_control_ratio", figures.over_universe, named))
        if figures.over_universe_ci is not None:
            low, high = figures.over_universe_ci
            found.append(Figure("cryptobot_paper_over_control_low_ratio", low, named))
            found.append(Figure("cryptobot_paper_over_control_high_ratio", high, named))
        return found

    def _paper_age(self, present: datetime) -> list[Figure]:
        if self._booked is None:
            return []
        age = (present - self._booked).total_seconds()
        return [Figure("cryptobot_paper_age_seconds", age, {"market": self._settings.service_market})]


def told_costs(settings: Settings) -> str:
    """Fee and slippage together, basis points a side, as a label."""
    return f"{settings.fee_bps + settings.slippage_bps:g}"
