"""The model registry.

One MLflow experiment a market, one run a training with a nested run for each tuning trial, one
version of `cryptobot-<market>-<algorithm>` for each training that ended well. `cryptobot-<market>`
holds copies of the versions that were promoted, and the aliases `champion` and `challenger`.

A version is created last, when its run has everything, so a training that was cut short leaves
its finished trials in the experiment and nothing in the registry.
"""

from __future__ import annotations

import functools
import json
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from cryptobot_assets.errors import NoModel, RegistryError
from cryptobot_assets.models.card import CARD_FILE
from cryptobot_assets.storage import mlflow_client
from cryptobot_assets.storage.registry_records import (
    CARD_PAGE,
    OVERRIDE,
    STORE_VERSION,
    Alias,
    Override,
    RegisteredVersion,
    Training,
    algorithm_model,
    market_model,
)
from cryptobot_assets.storage.training_run import TrainingRun

if TYPE_CHECKING:
    from cryptobot_assets.storage.mlflow_client import mlflow

ORIGIN_FILE = "registered.json"
"""Beside a downloaded model: which version it is."""

EMPTY: Mapping[str, Any] = MappingProxyType({})

MOST_VERSIONS = 100_000
"""Asked for in one page, which MLflow allows."""


class Registry:
    """A connection to an MLflow registry, made at first use; keep one a process.

    Every method raises `RegistryError`, in one line that names the address, when the registry
    does not answer or refuses.

    Args:
        tracking_uri: `sqlite:///file`, `postgresql://...` (through psycopg2) or `http://...`.
        artifact_root: folder or address (`s3://...`) below which experiments created from here
            keep their files, for a registry kept in a database; a server behind `http://...`
            keeps them where it says, and everybody who may ask it has them.
    """

    def __init__(self, tracking_uri: str, artifact_root: str | Path | None = None) -> None:
        self.tracking_uri = mlflow_client.parse_uri(tracking_uri)
        self.artifact_root = None if mlflow_client.is_server(self.tracking_uri) else artifact_root
        self._experiments: dict[str, str] = {}

    @functools.cached_property
    def client(self) -> mlflow.MlflowClient:
        """MLflow's client; the first access connects."""
        with self.plain_errors():
            return mlflow_client.connect(self.tracking_uri)

    def plain_errors(self) -> AbstractContextManager[None]:
        """Inside, a failure of the registry is one line of `RegistryError`."""
        return mlflow_client.plain_errors(self.tracking_uri)

    def require_answer(self) -> Registry:
        """This registry, once it has answered."""
        with self.plain_errors():
            self.client.search_registered_models(max_results=1)
        return self

    @contextmanager
    def training_run(self, training: Training) -> Iterator[TrainingRun]:
        """A run to log trials and a model on.

        It ends FINISHED with the body, FAILED when the body raises, KILLED when it is interrupted.
        """
        with self.plain_errors():
            run = TrainingRun(self.client, self.tracking_uri, training, self.experiment(training.market))
        try:
            yield run
        except BaseException as error:
            # Why the training ended matters more than a registry that went away with it.
            with suppress(RegistryError), self.plain_errors():
                self.client.set_terminated(run.run_id, "FAILED" if isinstance(error, Exception) else "KILLED")
            raise
        with self.plain_errors():
            self.client.set_terminated(run.run_id, "FINISHED")

    def versions(self, market: str, algorithm: str | None = None) -> list[RegisteredVersion]:
        """Trained versions of a market, by algorithm, then cutoff, then number: the newest last."""
        if algorithm is None:
            return self._search(f"name LIKE '{algorithm_model(market, '%')}'")
        return self._search(f"name = '{algorithm_model(market, algorithm)}'")

    def promoted(self, market: str) -> list[RegisteredVersion]:
        """Versions of `cryptobot-<market>`: whatever ever held one of its aliases."""
        return self._search(f"name = '{market_model(market)}'")

    def version(self, name: str, number: str) -> RegisteredVersion:
        """One version of a registered model; raises `NoModel` when there is none of that number."""
        known = self._search(f"name = '{name}'")
        found = next((one for one in known if one.version == number), None)
        if found is None:
            numbers = ", ".join(one.version for one in known) or "none"
            raise NoModel(f"{name} has no version {number}; it has: {numbers}")
        return found

    def run_tags(self, version: RegisteredVersion) -> dict[str, str]:
        """Tags of the run that trained a version: the rows it read, the code and the settings it ran with."""
        with self.plain_errors():
            return dict(self.client.get_run(version.run_id).data.tags)

    def trained_on(self) -> dict[str, frozenset[str]]:
        """Versions of each of the store's tables that some registered version was trained on."""
        registered = {one.run_id for one in self._search("name LIKE 'cryptobot-%'")}
        found: dict[str, set[str]] = {}
        with self.plain_errors():
            for run in mlflow_client.tagged_runs(self.client, STORE_VERSION):
                table, _, number = run.data.tags[STORE_VERSION].rpartition("@")
                if run.info.run_id in registered and number.isdigit():
                    found.setdefault(table, set()).add(number)
        return {table: frozenset(numbers) for table, numbers in found.items()}

    def find(self, market: str, algorithm: str, cutoff: datetime, fingerprint: str) -> RegisteredVersion | None:
        """The version that the same training gave before, if there is one."""
        same = [
            version
            for version in self.versions(market, algorithm)
            if version.cutoff == cutoff and version.tags.get("fingerprint") == fingerprint
        ]
        return same[-1] if same else None

    def aliased(self, market: str, alias: Alias) -> RegisteredVersion | None:
        """The promoted version an alias points at, None while it points at none."""
        with self.plain_errors():
            try:
                found = self.client.get_model_version_by_alias(market_model(market), alias)
            except mlflow_client.library().MlflowException as error:
                if error.error_code in mlflow_client.ABSENT or self._unseen(error, market_model(market), alias):
                    return None
                raise
        return mlflow_client.registered(found)

    def _unseen(self, error: mlflow.MlflowException, name: str, alias: Alias) -> bool:
        """Whether an account was refused what is not there: a server that demands credentials does not tell."""
        if error.error_code != mlflow_client.FORBIDDEN:
            return False
        models = self.client.search_registered_models(f"name = '{name}'", max_results=1)
        return not any(alias in model.aliases for model in models)

    def champion(self, market: str) -> RegisteredVersion | None:
        """The version that serves."""
        return self.aliased(market, "champion")

    def challenger(self, market: str) -> RegisteredVersion | None:
        """The candidate that does not serve yet."""
        return self.aliased(market, "challenger")

    def download(self, version: RegisteredVersion, dest: Path) -> Path:
        """Put the version's files into `dest`, replacing what is there; at once if it is that version.

        A reader of `dest` sees all files or none.
        """
        origin = json.dumps({"uri": version.uri, "run_id": version.run_id, "source": version.source_uri})
        if (dest / ORIGIN_FILE).is_file() and (dest / ORIGIN_FILE).read_text() == origin:
            return dest
        with self.plain_errors():
            dest.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(prefix=".part-", dir=dest.parent) as part:
                source = self.client.get_model_version_download_uri(version.name, version.version)
                download = mlflow_client.library().artifacts.download_artifacts
                got = Path(download(source, dst_path=part, tracking_uri=self.tracking_uri))
                if not (got / CARD_FILE).is_file():
                    raise RegistryError(f"{version.uri} holds no {CARD_FILE}: this platform did not train it")
                (got / ORIGIN_FILE).write_text(origin)
                shutil.rmtree(dest, ignore_errors=True)
                got.replace(dest)
        return dest

    def log_evaluation(
        self,
        version: RegisteredVersion,
        *,
        metrics: Mapping[str, float | None],
        plots: Mapping[str, bytes],
        tables: Mapping[str, Any],
        pages: Mapping[str, str] = EMPTY,
    ) -> None:
        """Add to the version's run: metrics, `plots/<name>`, `tables/<name>` (a frame as CSV, else JSON), pages."""
        with self.plain_errors():
            mlflow_client.log_figures(self.client, version.run_id, metrics=metrics, params={}, tags={})
            mlflow_client.log_files(self.client, version.run_id, plots=plots, tables=tables, pages=pages)

    def description(self, version: RegisteredVersion) -> str:
        """The version's model card, Markdown; empty where it has none."""
        with self.plain_errors():
            return self.client.get_model_version(version.name, version.version).description or ""

    def describe(self, version: RegisteredVersion, card: str) -> None:
        """Put another model card (Markdown) on a version, on its run and on the promoted copy of it."""
        copies = [copy for copy in self.promoted(version.market) if _is_copy(copy, version)]
        with self.plain_errors():
            for one in (version, *copies):
                mlflow_client.describe_version(self.client, one, card)
            mlflow_client.log_files(self.client, version.run_id, plots={}, tables={}, pages={CARD_PAGE: card})

    def read_table(self, version: RegisteredVersion, name: str) -> bytes | None:
        """`tables/<name>` of the version's run, None where it has none."""
        with self.plain_errors(), tempfile.TemporaryDirectory() as folder:
            path = f"tables/{name}"
            if path not in {one.path for one in self.client.list_artifacts(version.run_id, "tables")}:
                return None
            return Path(self.client.download_artifacts(version.run_id, path, folder)).read_bytes()

    def promote(
        self,
        version: RegisteredVersion,
        *,
        alias: Alias,
        verdict: Mapping[str, Any],
        override: Override | None = None,
    ) -> RegisteredVersion:
        """Point an alias of `cryptobot-<market>` at a copy of an algorithm's version.

        The copy is made once and remembers its promotions; the same promotion again changes nothing.

        Args:
            version: a trained version, as `versions` gives them.
            alias: `champion` or `challenger`.
            verdict: `{"promote": bool, "reasons": [sentence, ...]}`, what the gate says of it.
            override: of a champion, the person's decision behind it; without one, an earlier one ends.
        """
        held = self.aliased(version.market, alias)
        copies = [copy for copy in self.promoted(version.market) if _is_copy(copy, version)]
        name, word, reasons = market_model(version.market), _word(verdict), list(verdict["reasons"])
        ended = [
            one
            for one in (*copies, *([held] if held else []))
            if alias == "champion" and one.override and not (override and _is_copy(one, version))
        ]
        told, decides = (word, reasons), override is not None or bool(ended)
        if held is not None and not decides and _is_copy(held, version) and (held.verdict, held.reasons) == told:
            return held
        decided = {OVERRIDE: json.dumps(asdict(override))} if override else {}
        event = {"alias": alias, "time": datetime.now(UTC).isoformat(), "verdict": word, "reasons": reasons}
        event |= {"by": override.by, "reason": override.reason} if override else {}
        tags = {
            "verdict": word,
            "reasons": json.dumps(reasons),
            "promotions": json.dumps([*(copies[-1].promotions if copies else []), event]),
            **decided,
        }
        with self.plain_errors():
            number = copies[-1].version if copies else self._copy(version, name)
            for key, value in tags.items():
                self.client.set_model_version_tag(name, number, key, value)
            for number_ended in {one.version for one in ended}:
                self.client.delete_model_version_tag(name, number_ended, OVERRIDE)
            self.client.set_registered_model_alias(name, alias, number)
            return mlflow_client.registered(self.client.get_model_version(name, number))

    def end_override(self, version: RegisteredVersion) -> None:
        """Give the decision on a promoted version back to the gate; it serves until the gate decides."""
        if version.override is not None:
            with self.plain_errors():
                self.client.delete_model_version_tag(version.name, version.version, OVERRIDE)

    def _copy(self, version: RegisteredVersion, name: str) -> str:
        source = {"source_name": version.source_name, "source_version": version.source_version}
        return mlflow_client.create_version(
            self.client,
            name,
            f"models:/{version.source_name}/{version.source_version}",
            run_id=version.run_id,
            tags={**version.tags, **source},
            description=self.description(version),
        ).version

    def _search(self, filter_string: str) -> list[RegisteredVersion]:
        with self.plain_errors():
            found = self.client.search_model_versions(filter_string, max_results=MOST_VERSIONS)
        ours = [one for one in found if {"market", "algorithm", "cutoff"} <= one.tags.keys()]
        return sorted(
            map(mlflow_client.registered, ours), key=lambda one: (one.algorithm, one.cutoff, int(one.version))
        )

    def experiment(self, market: str) -> str:
        """Identity of the experiment `cryptobot-<market>`, created at first use."""
        if market not in self._experiments:
            name = f"cryptobot-{market}"
            held = self.client.get_experiment_by_name(name)
            self._experiments[market] = held.experiment_id if held else self._create_experiment(name)
        return self._experiments[market]

    def _create_experiment(self, name: str) -> str:
        root = self.artifact_root
        if root is None and not mlflow_client.is_server(self.tracking_uri):
            raise RegistryError("a registry kept in a database needs an artifact_root to keep models in")
        if root is not None and "://" not in str(root):
            root = Path(root).absolute().as_uri()
        try:
            made: str = self.client.create_experiment(name, f"{str(root).rstrip('/')}/{name}" if root else None)
        except mlflow_client.library().MlflowException as error:
            if error.error_code != mlflow_client.TAKEN:
                raise
            made = self.client.get_experiment_by_name(name).experiment_id
        return made


def _is_copy(copy: RegisteredVersion, version: RegisteredVersion) -> bool:
    return (copy.source_name, copy.source_version) == (version.source_name, version.source_version)


def _word(verdict: Mapping[str, Any]) -> str:
    return "passed" if verdict["promote"] else "unproven"
