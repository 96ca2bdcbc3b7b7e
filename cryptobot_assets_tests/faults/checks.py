"""What a store may hold after each step of a schedule: what was known when it was written, and nothing less."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime

import polars as pl

from cryptobot_assets.domain.gap_grid import Kind
from cryptobot_assets.domain.gaps import missing_times
from cryptobot_assets.domain.klines import UTC_TIME
from cryptobot_assets.partitions import Partitions
from cryptobot_assets.storage.store import GAPS, KLINES, Store, Table
from cryptobot_assets_tests.faults.worlds import World

NEVER = datetime(1970, 1, 1, tzinfo=UTC)
Place = tuple[str, str]
"""A table and a partition key."""


class Lost(AssertionError):
    """A row was lost, doubled or changed, or a gap is not where it should be."""


@dataclass
class Known:
    """Up to which instant each table must tell the truth of each partition.

    `maybe` is the instant that a killed process may or may not have brought it to.
    """

    until: dict[Place, datetime] = field(default_factory=dict)
    maybe: dict[Place, datetime] = field(default_factory=dict)

    def wrote(self, table: Table, keys: Iterable[str], finished: datetime) -> None:
        """A write of these partitions succeeded, by someone to whom what begins before then was finished."""
        for key in keys:
            self.until[table.name, key] = max(finished, self.until.get((table.name, key), NEVER))

    def may_have_written(self, keys: Iterable[str], finished: datetime) -> None:
        """Such a write, by a process that was killed."""
        for table in (KLINES, GAPS):
            self.maybe |= {(table.name, key): finished for key in keys}

    def candidates(self, table: Table, key: str) -> list[datetime]:
        """The instants that may be right."""
        place = table.name, key
        until = self.until.get(place, NEVER)
        return [until, max(until, self.maybe.get(place, NEVER))]

    def settle(self, table: Table, key: str, until: datetime) -> None:
        """It has turned out which one is right."""
        self.until[table.name, key] = until
        self.maybe.pop((table.name, key), None)


class Truth:
    """The klines of an undisturbed run, and the instants without one.

    Klines are compared in every column but `source`: an archive and REST give the same figures.
    """

    def __init__(self, world: World, partitions: Partitions, klines: pl.DataFrame) -> None:
        self._world = world
        self._spans = {
            f"{name}|{key}": (name, *partitions.span(key))
            for name in world.currencies
            for key in partitions.span_keys(*world.days)
        }
        missing = {name: world.missing(name, world.start, world.end) for name in world.currencies}
        instants = pl.concat(
            pl.DataFrame({"time": times}).select(pl.lit(name).alias("currency"), "time")
            for name, times in missing.items()
        )
        self._rows = {KLINES.name: klines.drop("source"), GAPS.name: instants.sort("currency", "time")}

    def check(self, store: Store, known: Known) -> None:
        """Nothing, when the store holds what is known and no more.

        Raises:
            Lost: it does not; the message says of which partition, and what.
        """
        self._compare(KLINES, store.read(KLINES).drop("source"), known)
        gaps = [
            pl.DataFrame({"time": missing_times(part, self._world.interval)}).select(
                pl.lit(name).alias("currency"), "time"
            )
            for (name,), part in _since_listed(store.read(GAPS)).group_by("currency")
        ]
        self._compare(GAPS, pl.concat([*gaps, self._rows[GAPS.name].clear()]).sort("currency", "time"), known)

    def _compare(self, table: Table, held: pl.DataFrame, known: Known) -> None:
        if held.equals(self._expected(table, known)):
            return
        twice = held.filter(pl.struct("currency", "time").is_duplicated())
        if twice.height:
            raise Lost(f"{table.name}: {twice.height} rows stand twice, the first of {twice.row(0)[:2]}")
        for key, (currency, start, end) in self._spans.items():
            here = _between(held, currency, start, end)
            truth = [
                (until, _between(self._rows[table.name], currency, start, min(end, until)))
                for until in known.candidates(table, key)
            ]
            right = [until for until, expected in truth if here.equals(expected)]
            if not right:
                raise Lost(f"{table.name} of {key}: {_difference(here, truth[0][1])}")
            known.settle(table, key, right[0])
        if not held.equals(self._expected(table, known)):
            raise Lost(f"{table.name}: rows outside every partition")

    def _expected(self, table: Table, known: Known) -> pl.DataFrame:
        """Rows of each partition up to what is known of it."""
        reach = [
            (currency, start, min(end, known.until.get((table.name, key), NEVER)))
            for key, (currency, start, end) in self._spans.items()
        ]
        limits = pl.DataFrame(reach, schema={"currency": pl.String, "start": UTC_TIME, "end": UTC_TIME}, orient="row")
        rows = self._rows[table.name]
        return (
            rows.join_asof(
                limits.sort("start"), left_on="time", right_on="start", by="currency", check_sortedness=False
            )
            .filter(pl.col("time") < pl.col("end"))
            .select(rows.columns)
        )


def _since_listed(gaps: pl.DataFrame) -> pl.DataFrame:
    return gaps.filter(pl.col("kind").ne_missing(Kind.NOT_LISTED.text))


def _between(rows: pl.DataFrame, currency: str, start: datetime, end: datetime) -> pl.DataFrame:
    return rows.filter(pl.col("currency") == currency, pl.col("time") >= start, pl.col("time") < end)


def _difference(held: pl.DataFrame, expected: pl.DataFrame) -> str:
    lost = expected.join(held, on=["currency", "time"], how="anti")
    extra = held.join(expected, on=["currency", "time"], how="anti")
    told = [f"{held.height} instead of {expected.height}"]
    told += [f"{lost.height} lost, the first at {lost['time'][0]}"] if lost.height else []
    told += [f"{extra.height} too many, the first at {extra['time'][0]}"] if extra.height else []
    if len(told) == 1:
        changed = held.join(expected, on=held.columns, how="anti", nulls_equal=True)
        told.append(f"{changed.height} changed, the first at {changed['time'][0]}")
    return ", ".join(told)
