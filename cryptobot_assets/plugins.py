"""Parts that other installed packages bring, found the way ours are: by name, in one catalogue a kind.

    pyproject.toml of another package                          here
    [project.entry-points."cryptobot_assets.algorithms"]
    median = "their_package.models:MEDIAN"               -->   ALGORITHMS["median"]

Names are read from what is installed, without importing anything; a part is imported when it is first asked
for, and checked then. Nobody takes a name of ours, nor one that another package has taken.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from importlib.metadata import EntryPoint, entry_points
from pkgutil import resolve_name
from typing import Any, Generic, TypeVar, cast

from cryptobot_assets.errors import BadPlugin

OURS = "cryptobot-assets"
NAME = re.compile(r"[a-z][a-z0-9_]*")
Part = TypeVar("Part")

Check = Callable[[str, object], str | None]
"""What is wrong with a part of that name, None when nothing is."""


@dataclass(frozen=True)
class Origin:
    """Where a part comes from: the package (and its version) that brings it, and its place in it."""

    package: str
    version: str
    place: str

    @property
    def is_ours(self) -> bool:
        """Whether it comes with the platform itself."""
        return self.package == OURS

    def __str__(self) -> str:
        return f"{self.package} {self.version}".strip()


class Catalogue(Mapping[str, Part], Generic[Part]):
    """The parts of one kind by name: ours in their order, then those that other packages bring, by name.

    Args:
        group: of the entry points that bring parts of this kind.
        kind: what errors call one.
        ours: our own parts, or where they are (`module:attribute`), to be imported when they are asked for.
        check: what is wrong with a part that another package brings.
        reserved: names that nobody may take, though no part of ours has them.

    Raises:
        BadPlugin: whatever asks for a part that another package brings, or for all names, when a name is taken
            or a part cannot be imported or fails the check. Asking for one of ours never does.
    """

    def __init__(
        self,
        group: str,
        kind: str,
        *,
        ours: Mapping[str, Part | str],
        check: Check,
        reserved: Iterable[str] = (),
    ) -> None:
        self.group = group
        self.kind = kind
        self._ours = dict(ours)
        self._check = check
        self._reserved = frozenset(reserved)
        self._loaded: dict[str, Part] = {}

    def __getitem__(self, name: str) -> Part:
        if name in self._ours:
            own = self._ours[name]
            return cast("Part", resolve_name(own)) if isinstance(own, str) else own
        if name not in self._loaded:
            self._loaded[name] = self._load(self._brought[name])
        return self._loaded[name]

    def __contains__(self, name: object) -> bool:
        return name in self._ours or name in self._brought

    def __iter__(self) -> Iterator[str]:
        yield from self._ours
        yield from self._brought

    def __len__(self) -> int:
        return len(self._ours) + len(self._brought)

    def origin(self, name: str) -> Origin:
        """Where a part comes from; nothing is imported for that."""
        if name not in self._ours:
            return _origin_of(self._brought[name])
        own = self._ours[name]
        return Origin(OURS, "", own if isinstance(own, str) else type(own).__module__)

    def brought(self) -> dict[str, Part]:
        """The parts that other packages bring, imported and checked."""
        return {name: self[name] for name in self._brought}

    def forget(self) -> None:
        """Look again at what is installed, when it is next asked for."""
        _installed.cache_clear()
        self.__dict__.pop("_brought", None)
        self._loaded.clear()

    @cached_property
    def _brought(self) -> dict[str, EntryPoint]:
        found: dict[str, EntryPoint] = {}
        # An environment may name one installed package twice, through two folders of its path.
        installed: Iterable[EntryPoint] = _installed().select(group=self.group)
        points = {(one.name, one.value, _origin_of(one).package): one for one in installed}
        for point in sorted(points.values(), key=lambda one: (one.name, one.value)):
            self._require_free_name(point, found)
            found[point.name] = point
        return found

    def _require_free_name(self, point: EntryPoint, found: Mapping[str, EntryPoint]) -> None:
        if not NAME.fullmatch(point.name):
            raise self._refusal(point, "its name must be lower-case letters, digits and underscores")
        if point.name in self._ours or point.name in self._reserved:
            raise self._refusal(point, "the platform has taken that name: choose another")
        if point.name in found:
            raise self._refusal(point, f"{_origin_of(found[point.name])} brings one of that name: uninstall either")

    def _load(self, point: EntryPoint) -> Part:
        try:
            part = point.load()
        except Exception as error:  # whatever their code does as it is imported
            raise self._refusal(point, f"cannot be imported ({type(error).__name__}: {error})") from error
        wrong = self._check(point.name, part)
        if wrong:
            raise self._refusal(point, wrong)
        return cast("Part", part)

    def _refusal(self, point: EntryPoint, wrong: str) -> BadPlugin:
        origin = _origin_of(point)
        return BadPlugin(f"package {origin} brings the {self.kind} {point.name!r} ({origin.place}): {wrong}")


@lru_cache(maxsize=1)
def _installed() -> Any:  # a class of its own until Python 3.11, `EntryPoints` from 3.12 on
    """Entry points of everything that is installed; reading them takes some 20 ms."""
    return entry_points()


def _origin_of(point: EntryPoint) -> Origin:
    return Origin(point.dist.name, point.dist.version, point.value) if point.dist else Origin("?", "", point.value)
