"""The paper bot on a store and a registry: booking what is due, and replaying what was booked.

Both walk the same hours through the same step; booking begins with what the ledger left, a replay
with an empty book (or what the ledger held at a later hour), and writes nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property

from cryptobot_assets.domain.intervals import HOUR, floor_hour, interval_delta
from cryptobot_assets.domain.paper import run
from cryptobot_assets.domain.paper_book import Book, Terms
from cryptobot_assets.domain.paper_ledger import Difference, Ledger, between, first_difference, joined, ledger_of
from cryptobot_assets.errors import NoModel
from cryptobot_assets.leaderboard import costs_of
from cryptobot_assets.models.loading import load_scorer
from cryptobot_assets.partitions import POOLED_MARKET
from cryptobot_assets.plugged import RULES
from cryptobot_assets.profile import expected_market
from cryptobot_assets.progress import Progress
from cryptobot_assets.settings import Settings
from cryptobot_assets.storage.listings import pooled_currencies
from cryptobot_assets.storage.paper_hours import HourReader, Model, ready_until
from cryptobot_assets.storage.paper_ledger import ledger_span, read_book, read_ledger, write_ledger
from cryptobot_assets.storage.registry import Registry
from cryptobot_assets.storage.registry_records import RegisteredVersion
from cryptobot_assets.storage.store import PAPER_DECISIONS, Store

BLOCK_HOURS = 30 * 24
"""Hours read at a time, to bound memory."""


@dataclass(frozen=True)
class Reign:
    """A version and the instant from which it was champion."""

    since: datetime
    version: RegisteredVersion


@dataclass(frozen=True)
class Booked:
    """What a booking did: hours in [start, end), and why it ended there."""

    start: datetime | None
    end: datetime | None
    waits_for: str

    @property
    def hours(self) -> int:
        """How many hours were booked."""
        return (self.end - self.start) // HOUR if self.start and self.end else 0


@dataclass(frozen=True)
class Replay:
    """A replay of hours in [start, end).

    Attributes:
        compared: hours that the ledger has too and that were begun with the same book.
        difference: the first place where the two part.
    """

    start: datetime
    end: datetime
    ledger: Ledger
    compared: int
    difference: Difference | None


def universe_of(store: Store, settings: Settings) -> tuple[str, ...]:
    """What the bot ranks: the pool's currencies, or the one whose champion it follows."""
    market = settings.service_market
    return pooled_currencies(settings, store) if market == POOLED_MARKET else (market,)


def bookable_until(store: Store, settings: Settings) -> datetime | None:
    """Just after the newest hour that can be booked, None where nothing is stored: nothing of the holdout is."""
    ready = ready_until(store, universe_of(store, settings), settings.interval)
    if ready is None:
        return None
    return ready + HOUR if settings.holdout_start is None else min(ready + HOUR, settings.holdout_start)


def is_due(store: Store, settings: Settings) -> bool:
    """Whether there are hours to book, once there is a champion."""
    end, held = bookable_until(store, settings), ledger_span(store, settings.service_market)
    return end is not None and (held is None or held[1] + HOUR < end)


class PaperBot:
    """The bot of one deployment; make a new one when the store or the registry has changed."""

    def __init__(self, store: Store, registry: Registry, settings: Settings) -> None:
        self._store = store
        self._registry = registry
        self._settings = settings
        self._market = settings.service_market
        self._step = interval_delta(settings.interval)
        self._models: dict[str, Model] = {}

    @property
    def terms(self) -> Terms:
        """What the settings hold the bot to."""
        return Terms(
            market=self._market,
            rule=RULES[self._settings.paper_rule],
            costs=costs_of(self._settings),
            capital=self._settings.pool_capital,
            capacity=self._settings.pool_capacity,
        )

    def book(self, progress: Progress) -> Booked:
        """Book every hour that is due since the ledger's end; again, it books nothing."""
        held = ledger_span(self._store, self._market)
        first = held[1] + HOUR if held else self._first_hour(by_cutoff=self._by_cutoff)
        if first is None:
            return Booked(None, None, f"a champion of market {self._market}")
        end = bookable_until(self._store, self._settings)
        if end is None or end <= first:
            return Booked(None, None, self._waits_for(first))
        book = read_book(self._store, self._market, first, self._settings.pool_capital)
        start = first
        while start < end:
            until = min(start + BLOCK_HOURS * HOUR, end)
            book, ledger = self._run(book, self._in_force(start, until, by_cutoff=self._by_cutoff))
            write_ledger(self._store, self._market, ledger, start)
            progress.advance("paper", steps=(until - start) // HOUR, note=f"{until:%Y-%m-%d}")
            start = until
        return Booked(first, end, self._waits_for(end))

    def replay(self, start: datetime | None = None, end: datetime | None = None) -> Replay:
        """Run the hours in [start, end) over the stored klines, beside what the ledger says of them.

        Begun within the ledger, the replay starts from what the ledger held then; begun at its start or
        before, from an empty book. By default it is all of the ledger, or all that could be booked.

        Raises:
            NoModel: no version was in force at any of those hours, or the one that was is gone.
        """
        held = ledger_span(self._store, self._market)
        begun_before = held is not None and start is not None and start < held[0]
        by_cutoff = self._by_cutoff or held is None or begun_before
        first = start or (held[0] if held else self._first_hour(by_cutoff=by_cutoff))
        stored = bookable_until(self._store, self._settings)
        if first is None or stored is None:
            raise NoModel(f"nothing to replay: market {self._market} has no champion, or no klines are stored")
        last = min(end or (held[1] + HOUR if held else stored), stored)
        continued = held is not None and held[0] < first <= held[1] + HOUR
        book = (
            read_book(self._store, self._market, first, self._settings.pool_capital)
            if continued
            else Book.opened(self._settings.pool_capital)
        )
        parts, at = [], first
        while at < last:
            until = min(at + BLOCK_HOURS * HOUR, last)
            book, made = self._run(book, self._in_force(at, until, by_cutoff=by_cutoff))
            parts.append(made)
            at = until
        ledger = joined(parts)
        if held is None or not (continued or first == held[0]):
            return Replay(first, last, ledger, 0, None)
        until = min(last, held[1] + HOUR)
        live = read_ledger(self._store, self._market, first, until)
        difference = first_difference(live, between(ledger, first, until))
        return Replay(first, last, ledger, max((until - first) // HOUR, 0), difference)

    def _run(self, book: Book, models: Mapping[datetime, Model | None]) -> tuple[Book, Ledger]:
        book, rows = run(book, self._reader.hours(models, book.names), self.terms)
        return book, ledger_of(rows)

    @cached_property
    def _reader(self) -> HourReader:
        patience = timedelta(minutes=self._settings.paper_patience_minutes)
        universe = universe_of(self._store, self._settings)
        return HourReader(self._store, self._settings.interval, universe, patience)

    def _waits_for(self, hour: datetime) -> str:
        if self._settings.holdout_start is not None and hour >= self._settings.holdout_start:
            return f"nothing: from {hour:%Y-%m-%d %H:%M} on is the holdout"
        return f"the klines that open at {hour:%Y-%m-%d %H:%M} and the indicators known then"

    @cached_property
    def _by_cutoff(self) -> bool:
        """Whether a champion counts from its cutoff: on a market with a present of its own, promotions have no date."""
        return bool(expected_market(self._settings.home))

    @cached_property
    def _reigns(self) -> list[Reign]:
        """Every promotion to champion, in order."""
        return sorted(
            (
                Reign(datetime.fromisoformat(event["time"]), version)
                for version in self._registry.promoted(self._market)
                for event in version.promotions
                if event["alias"] == "champion"
            ),
            key=lambda one: one.since,
        )

    def _first_hour(self, *, by_cutoff: bool) -> datetime | None:
        """The first whole hour at which somebody reigned."""
        begun = [
            max(one.version.cutoff + self._step, one.version.cutoff if by_cutoff else one.since) for one in self._reigns
        ]
        return min((_next_hour(one) for one in begun), default=None)

    def _in_force(self, start: datetime, end: datetime, *, by_cutoff: bool) -> dict[datetime, Model | None]:
        """By hour of [start, end), the version in force.

        Where a champion counts from its cutoff, the ledger's own word of an hour goes before.
        """
        recorded = self._recorded(start, end) if by_cutoff else {}
        hours = [start + n * HOUR for n in range((end - start) // HOUR)]
        return {hour: self._reigning(hour, recorded.get(hour), by_cutoff=by_cutoff) for hour in hours}

    def _reigning(self, hour: datetime, recorded: tuple[str, str] | None, *, by_cutoff: bool) -> Model | None:
        known = [one for one in self._reigns if one.version.cutoff <= hour - self._step]
        if recorded is not None:
            known = [one for one in known if (one.version.algorithm, one.version.source_version) == recorded]
            if not known:
                raise NoModel(f"version {recorded[1]} of {recorded[0]}, in force at {hour:%Y-%m-%d %H:%M}, is gone")
        held = [one.version for one in known if by_cutoff or one.since <= hour]
        return self._model(held[-1]) if held else None

    def _recorded(self, start: datetime, end: datetime) -> dict[datetime, tuple[str, str]]:
        rows = self._store.read(
            PAPER_DECISIONS,
            start=start,
            end=end,
            columns=["time", "algorithm", "version"],
            market=self._market,
        ).unique()
        return {time: (algorithm, version) for time, algorithm, version in rows.iter_rows()}

    def _model(self, version: RegisteredVersion) -> Model:
        if version.uri not in self._models:
            folder = self._settings.home / "model-cache" / version.name / version.version
            scorer = load_scorer(self._registry.download(version, folder))
            self._models[version.uri] = Model(
                version.algorithm, version.source_version, scorer.features, scorer.predict
            )
        return self._models[version.uri]


def _next_hour(moment: datetime) -> datetime:
    """The first whole hour at or after an instant."""
    whole = floor_hour(moment.astimezone(UTC))
    return whole if whole == moment else whole + HOUR
