"""The model registry as a source of models to serve."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from cryptobot_assets.errors import RegistryError
from cryptobot_assets.serving.lineup import ALIASES, Alias, Appointment, Lineup, ModelVersion
from cryptobot_assets.storage.registry import Registry
from cryptobot_assets.storage.registry_records import RegisteredVersion


class RegistryModels:
    """A `ModelSource` over the MLflow registry, for one market."""

    def __init__(self, registry: Registry, market: str) -> None:
        self._registry = registry
        self._market = market
        self._records: dict[ModelVersion, RegisteredVersion] = {}

    def lineup(self) -> Lineup:
        """See `ModelSource.lineup`."""
        trained = self._registry.versions(self._market)
        held = {alias: self._registry.aliased(self._market, alias) for alias in ALIASES}
        appointments = {alias: _appointment(alias, record) for alias, record in held.items() if record is not None}
        promoted = {appointments[alias].model: record for alias, record in held.items() if record is not None}
        self._records = promoted | {_model_version(record): record for record in trained}
        return Lineup(appointments, newest_versions(self._records))

    def download(self, version: ModelVersion, folder: Path) -> Path:
        """See `ModelSource.download`."""
        record = self._records.get(version)
        if record is None:
            raise RegistryError("the registry does not have it any more")
        return self._registry.download(record, folder)


def newest_versions(versions: Iterable[ModelVersion]) -> dict[str, ModelVersion]:
    """Each algorithm's version of the latest cutoff, the highest number among several."""
    ordered = sorted(versions, key=lambda version: (version.cutoff, int(version.version)))
    return {version.algorithm: version for version in ordered}


def _model_version(record: RegisteredVersion) -> ModelVersion:
    """The trained version a record is, or is a promoted copy of."""
    return ModelVersion(
        name=record.source_name,
        version=record.source_version,
        algorithm=record.algorithm,
        market=record.market,
        cutoff=record.cutoff,
        run_id=record.run_id,
    )


def _appointment(alias: Alias, record: RegisteredVersion) -> Appointment:
    return Appointment(
        alias=alias,
        registered_name=record.name,
        registered_version=record.version,
        model=_model_version(record),
        verdict="passed" if record.verdict == "passed" else "unproven",
    )
