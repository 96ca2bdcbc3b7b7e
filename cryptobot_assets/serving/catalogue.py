"""The models a worker has loaded, kept in step with the registry without a restart.

    registry --lineup every 2 s--> download once --> load --> warm up --> swap one reference
                                                    |            |
                                                    +-- refused -+--> the model before stays

Readers take one reference and never wait; only the first request for an algorithm that was not
loaded yet waits for it. A registry that does not answer changes nothing but what `/models` says.
A worker that starts while the champion cannot be had serves the newest one before it that any worker
had loaded and that is on this machine still.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cryptobot_assets.errors import NoModel, RegistryError
from cryptobot_assets.models.card import HIGH, LOW
from cryptobot_assets.models.loading import Scorer, load_scorer, warm_up
from cryptobot_assets.serving.cache import ModelCache
from cryptobot_assets.serving.lineup import ALIASES, Alias, Appointment, Lineup, ModelSource, ModelVersion
from cryptobot_assets.serving.metrics import Metrics
from cryptobot_assets.serving.replies import iso
from cryptobot_assets.serving.shelf import LoadedModel, ServedModel, Shelf, appointed, entry, model_block, rival

POLL_SECONDS = 2.0
DOWNLOAD_RETRY_SECONDS = 10.0
REFUSED_RETRY_SECONDS = 600.0
"""How long a version is left alone that could not be fetched, or that failed its warm-up."""
logger = logging.getLogger(__name__)

Load = Callable[[Path], Scorer]


CHAMPION: tuple[Alias, ...] = ("champion",)


class Catalogue:
    """A `ModelShelf` that follows a registry from a thread of its own.

    Args:
        open_source: connects to the registry; called in the thread, again until it succeeds.
        market: whose champion is served.
        load: makes a checked scorer of a model folder.
        metrics: told of versions that come, go and are refused.
    """

    def __init__(
        self,
        open_source: Callable[[], ModelSource],
        cache: ModelCache,
        *,
        market: str,
        load: Load = lambda folder: warm_up(load_scorer(folder)),
        poll_seconds: float = POLL_SECONDS,
        metrics: Metrics | None = None,
    ) -> None:
        self._metrics = metrics or Metrics()
        self._open_source = open_source
        self._cache = cache
        self._market = market
        self._in_force = cache.in_force(market)
        self._load = load
        self._poll_seconds = poll_seconds
        self._source: ModelSource | None = None
        self._lineup = Lineup()
        self._shelf = Shelf()
        self._refused: dict[ModelVersion, float] = {}
        self._error: str | None = "the registry has not been asked yet"
        self._checked_at: datetime | None = None
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Follow the registry until `stop`."""
        self._thread = threading.Thread(target=self._follow, name="catalogue", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Stop following; what is loaded stays."""
        self._stopping.set()
        if self._thread is not None:
            self._thread.join(timeout=10)

    def champion(self) -> ServedModel:
        """See `ModelShelf.champion`."""
        champion = self._shelf.champion
        if champion is None:
            raise NoModel(f"no champion of market {self._market} is loaded; train and promote one first")
        return champion

    def challenger(self) -> ServedModel | None:
        """See `ModelShelf.challenger`."""
        return self._shelf.challenger

    def held(self, algorithm: str) -> ServedModel | None:
        """See `ModelShelf.held`."""
        shelf = self._shelf
        loaded = shelf.algorithms.get(algorithm)
        return None if loaded is None else ServedModel(loaded, model_block(loaded.version, shelf))

    def fetch(self, algorithm: str) -> ServedModel:
        """See `ModelShelf.fetch`."""
        with self._lock:
            version = self._lineup.newest.get(algorithm)
            if algorithm not in self._shelf.algorithms and version is not None:
                loaded = self._loaded(version)
                if loaded is not None:
                    self._swap({**self._shelf.algorithms, algorithm: loaded})
        served = self.held(algorithm)
        if served is None:
            raise NoModel(f"no {algorithm} model of market {self._market} is loaded; train one first")
        return served

    def fault(self) -> str | None:
        """See `ModelShelf.fault`."""
        return self._error

    def listing(self) -> dict[str, Any]:
        """See `ModelShelf.listing`."""
        shelf = self._shelf
        return {
            "market": self._market,
            "models": [entry(loaded, shelf) for loaded in shelf.loaded.values()],
            "available": {name: version.version for name, version in sorted(self._lineup.newest.items())},
            "registry": {"checked_at": self._checked_at and iso(self._checked_at), "error": self._error},
        }

    def poll(self) -> None:
        """Ask the registry once and load what is new; never raises."""
        try:
            if self._source is None:
                self._source = self._open_source()
            lineup = self._source.lineup()
        except Exception as error:  # noqa: BLE001 the thread must outlive whatever a registry client raises
            self._source = None
            self._say("the registry does not answer; what was loaded stays", error)
            with self._lock:
                self._recall()
            return
        with self._lock:
            self._lineup = lineup
            self._swap(self._shelf.algorithms, CHAMPION)  # nothing else may delay it
            if "champion" in lineup.appointments:
                self._recall()
            in_use = {
                name: self._loaded(lineup.newest[name]) or loaded if name in lineup.newest else loaded
                for name, loaded in self._shelf.algorithms.items()
            }
            self._swap(in_use)
            self._checked_at = datetime.now(UTC)
            self._metrics.registry_told(self._checked_at)
            self._error = self._complaint()

    def _follow(self) -> None:
        while not self._stopping.is_set():
            self.poll()
            self._stopping.wait(self._poll_seconds)

    def _recall(self) -> None:
        """Where no champion is loaded, put the newest in force that served before and whose files are still here."""
        for appointment in self._in_force.appointments() if self._shelf.champion is None else ():
            if self._cache.holds(appointment.model):
                self._swap(self._shelf.algorithms, CHAMPION, {"champion": appointment})
            if self._shelf.champion is not None:
                logger.warning("the champion cannot be had: what served before it serves until it can")
                return

    def _complaint(self) -> str | None:
        lineup = self._lineup
        if "champion" not in lineup.appointments:
            return f"the registry names no champion of market {self._market}"
        in_force = {*lineup.newest.values(), *(item.model for item in lineup.appointments.values())}
        self._refused = {version: until for version, until in self._refused.items() if version in in_force}
        refused = sorted(f"{version.name} version {version.version}" for version in self._refused)
        return f"refused, see the service's log: {', '.join(refused)}" if refused else None

    def _say(self, what: str, error: Exception) -> None:
        if self._error != what:
            logger.warning("%s (%s: %s)", what, type(error).__name__, str(error).strip().split("\n")[0])
        self._error = what

    def _swap(
        self,
        algorithms: Mapping[str, LoadedModel],
        aliases: Collection[Alias] = ALIASES,
        appointed_now: Mapping[Alias, Appointment] | None = None,
    ) -> None:
        """Put the aliases in force, of those named, and these algorithms on the shelf, in one assignment.

        Aliases are as the registry has them unless `appointed_now` says otherwise.
        """
        before = self._shelf
        appointments = dict(before.appointments)
        models = dict(before.loaded)
        for alias, appointment in (appointed_now or self._lineup.appointments).items():
            loaded = self._loaded(appointment.model) if alias in aliases else None
            if loaded is not None:
                appointments[alias] = appointment
                models[appointment.model] = loaded
        if "challenger" not in self._lineup.appointments:
            appointments.pop("challenger", None)
        models |= {loaded.version: loaded for loaded in algorithms.values()}
        needed = {item.model for item in appointments.values()} | {item.version for item in algorithms.values()}
        shelf = Shelf(appointments, algorithms, {version: models[version] for version in models if version in needed})
        champion = appointments.get("champion")
        if champion is not None:
            shelf = replace(shelf, champion=appointed(champion, shelf), challenger=rival(champion, shelf))
            if before.champion is None or before.champion.loaded.version != champion.model:
                logger.info("champion is now %s version %s", champion.model.name, champion.model.version)
        self._shelf = shelf
        if champion is not None and champion != before.appointments.get("champion"):
            self._note(champion)
        if appointments != before.appointments:
            self._metrics.in_force(self._market, appointments, before.appointments)

    def _note(self, champion: Appointment) -> None:
        try:
            self._in_force.note(champion)
        except OSError as error:  # it serves all the same
            logger.warning("what serves could not be noted for the next start (%s)", error)

    def _loaded(self, version: ModelVersion) -> LoadedModel | None:
        """The version in memory, loaded now if it was not; None when it was refused."""
        held = self._shelf.loaded.get(version)
        if held is not None:
            return held
        if time.monotonic() < self._refused.get(version, 0.0):
            return None
        held_before = self._cache.holds(version)
        try:
            folder = self._folder(version)
        except Exception as error:  # noqa: BLE001 a model that cannot be had must not take down the one that serves
            self._refuse(version, error, DOWNLOAD_RETRY_SECONDS)
            return None
        try:
            scorer = _require_interval(self._load(folder))
        except Exception as error:  # noqa: BLE001 see above
            self._cache.discard(version)
            if held_before:  # the files may have been damaged since they were downloaded
                return self._loaded(version)
            self._refuse(version, error, REFUSED_RETRY_SECONDS)
            return None
        self._refused.pop(version, None)
        logger.info("loaded %s version %s", version.name, version.version)
        self._metrics.loaded("loaded")
        return LoadedModel(version, scorer, datetime.now(UTC))

    def _folder(self, version: ModelVersion) -> Path:
        def download(part: Path) -> None:
            if self._source is None:
                raise RegistryError("the registry does not answer")
            self._source.download(version, part)

        return self._cache.folder(version, download)

    def _refuse(self, version: ModelVersion, error: Exception, seconds: float) -> None:
        logger.error("refused %s version %s: %s", version.name, version.version, error)
        self._refused[version] = time.monotonic() + seconds
        self._metrics.loaded("refused")


def _require_interval(scorer: Scorer) -> Scorer:
    missing = {LOW, HIGH} - set(scorer.card.residual_quantiles)
    if missing:
        raise RegistryError(f"the model's card lacks the residual quantiles {', '.join(sorted(missing))}")
    return scorer
