"""The one home of MLflow: its settings, connections, errors, and the files it wants beside a model."""

from __future__ import annotations

import json
import logging
import os
import platform
import re
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from importlib.metadata import version as installed_version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl
import requests
import sqlalchemy

from cryptobot_assets.domain.model_card import abridged
from cryptobot_assets.errors import RegistryError, UsageError
from cryptobot_assets.models.base import ModelFile
from cryptobot_assets.models.card import ModelCard
from cryptobot_assets.models.output import AS_IT_IS
from cryptobot_assets.storage.registry_records import RegisteredVersion

os.environ["MLFLOW_ALLOW_PICKLE_DESERIALIZATION"] = "false"
for _name, _value in {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "MLFLOW_LOGGING_LEVEL": "WARNING",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",  # by default it tries a dead server for minutes
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "30",
}.items():
    os.environ.setdefault(_name, _value)

if TYPE_CHECKING:
    import mlflow as mlflow  # noqa: PLC0414 others take its types from here

CONNECT_SECONDS = 5
RUNS_A_PAGE = 1_000
MOST_DESCRIPTION = 5_000
"""Characters of a description that MLflow's databases hold."""

TAKEN = "RESOURCE_ALREADY_EXISTS"
ABSENT = ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE")
"""What MLflow answers when a registered model, or an alias of one, is not there."""
FORBIDDEN = "PERMISSION_DENIED"

REFUSED = {
    "error code 401": "it demands credentials: set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD",
    "error code 403": "the account of MLFLOW_TRACKING_USERNAME may not do this",
}
"""What is told for a refusal, by what MLflow's client says of it."""

FLAVORS: dict[str, dict[str, Any]] = {
    "xgboost": {"model_class": "xgboost.core.Booster", "model_format": "ubj"},
    "catboost": {"model_type": "CatBoostRegressor", "save_format": "cbm"},
    "onnx": {"providers": ["CPUExecutionProvider"]},
}
"""What MLflow's loader of each flavour wants to know."""

OWN_LOADER = "cryptobot_assets.models.loading"
"""Loads a model whose file alone does not give the prediction."""


def library() -> Any:
    """MLflow, imported when it is first needed: seconds and 100 MB that ingesting klines never uses.

    It reads some of the settings above as it is imported, and forgets how much it was to log.
    """
    logger = logging.getLogger("mlflow")
    level = logger.level
    import mlflow

    if level:
        logger.setLevel(level)
    return mlflow


def is_server(uri: str) -> bool:
    """Whether the address is an MLflow server rather than its database."""
    return uri.startswith(("http://", "https://"))


def parse_uri(text: str) -> str:
    """A tracking address as MLflow should read it: PostgreSQL through psycopg2.

    Raises:
        UsageError: it is no address of a server or a database.
    """
    if is_server(text):
        return text
    try:
        url = sqlalchemy.make_url(text)
    except sqlalchemy.exc.ArgumentError as error:
        raise UsageError("MLFLOW_TRACKING_URI must be http://..., postgresql://... or sqlite:///file") from error
    if url.drivername in ("postgresql", "postgres"):
        url = url.set(drivername="postgresql+psycopg2")
    address: str = url.render_as_string(hide_password=False)
    return address


def shown_uri(uri: str) -> str:
    """The address without its password."""
    shown: str = sqlalchemy.make_url(uri).render_as_string(hide_password=True)
    return shown


def connect(uri: str) -> mlflow.MlflowClient:
    """A client of the tracking store and registry at `uri`; a database is tried once first."""
    if is_server(uri):
        # Its every retry is a warning; the error that follows them says it all.
        logging.getLogger("urllib3.connectionpool").setLevel(logging.ERROR)
    else:
        _try_database(sqlalchemy.make_url(uri))
    return library().MlflowClient(uri, uri)


def _try_database(url: sqlalchemy.URL) -> None:
    """Connect once: MLflow itself tries a database that is not there for two minutes."""
    if url.get_backend_name() == "sqlite" and url.database:
        Path(url.database).parent.mkdir(parents=True, exist_ok=True)
    patience = {"connect_timeout": CONNECT_SECONDS} if url.get_backend_name() == "postgresql" else {}
    engine = sqlalchemy.create_engine(url, connect_args=patience)
    try:
        engine.connect().close()
    finally:
        engine.dispose()


@contextmanager
def plain_errors(uri: str) -> Iterator[None]:
    """Inside, what MLflow and the libraries below it raise becomes one line of `RegistryError`."""
    try:
        yield
    except (library().MlflowException, sqlalchemy.exc.SQLAlchemyError, requests.RequestException, OSError) as error:
        raise RegistryError(f"model registry {shown_uri(uri)}: {_reason(error)}") from error


def _reason(error: Exception) -> str:
    """Why, in one line without passwords."""
    if isinstance(error.__cause__ or error.__context__, requests.ConnectionError):
        return "nothing answers; start it or correct MLFLOW_TRACKING_URI"
    line = next(iter(str(error).strip().splitlines()), type(error).__name__)
    for status, told in REFUSED.items():
        if status in line:
            return told
    return re.sub(r"(://[^:/@\s]*):[^@\s]*@", r"\1:***@", line)[:300]


def log_figures(
    client: mlflow.MlflowClient,
    run_id: str,
    *,
    metrics: Mapping[str, float | None],
    params: Mapping[str, Any],
    tags: Mapping[str, str],
) -> None:
    """Log on a run in one call; metrics that are None are left out, params that are not text are JSON."""
    now = milliseconds(datetime.now(UTC))
    entities = library().entities
    client.log_batch(
        run_id,
        metrics=[entities.Metric(name, float(value), now, 0) for name, value in metrics.items() if value is not None],
        params=[entities.Param(name, _text(value)) for name, value in params.items()],
        tags=[entities.RunTag(name, str(value)) for name, value in tags.items()],
    )


def log_files(
    client: mlflow.MlflowClient,
    run_id: str,
    *,
    plots: Mapping[str, bytes],
    tables: Mapping[str, Any],
    pages: Mapping[str, str],
) -> None:
    """Add `plots/<name>`, `tables/<name>` and `<name>` of each page to a run.

    A frame among the tables is written as CSV, anything else as JSON.
    """
    files = {name: text.encode() for name, text in pages.items()}
    files |= {f"plots/{name}": content for name, content in plots.items()}
    files |= {f"tables/{name}": _table_text(table).encode() for name, table in tables.items()}
    with tempfile.TemporaryDirectory() as folder:
        for name, content in files.items():
            path = Path(folder, name)
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(content)
        if files:
            client.log_artifacts(run_id, folder)


def _table_text(table: Any) -> str:
    if isinstance(table, pl.DataFrame):
        return table.write_csv()
    return json.dumps(table, indent=1, default=str)


def tagged_runs(client: mlflow.MlflowClient, tag: str) -> Iterator[mlflow.entities.Run]:
    """Runs of the platform's experiments that carry a tag."""
    experiments = [one.experiment_id for one in client.search_experiments(filter_string="name LIKE 'cryptobot-%'")]
    token = None
    while experiments:
        page = client.search_runs(
            experiments, filter_string=f"tags.{tag} LIKE '%'", max_results=RUNS_A_PAGE, page_token=token
        )
        yield from page
        token = page.token
        if not token:
            return


def create_version(
    client: mlflow.MlflowClient,
    name: str,
    source: str,
    *,
    run_id: str,
    tags: Mapping[str, str],
    description: str,
    model_id: str | None = None,
) -> RegisteredVersion:
    """A new version of a registered model, which is created for its first version."""
    try:
        client.create_registered_model(name)
    except library().MlflowException as error:
        if error.error_code != TAKEN:
            raise
    return registered(
        client.create_model_version(
            name,
            source,
            run_id=run_id,
            tags=dict(tags),
            description=abridged(description, MOST_DESCRIPTION),
            model_id=model_id,
            await_creation_for=0,
        )
    )


def describe_version(client: mlflow.MlflowClient, version: RegisteredVersion, text: str) -> None:
    """Give a version another description."""
    client.update_model_version(version.name, version.version, description=abridged(text, MOST_DESCRIPTION))


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, default=str)


def milliseconds(time: datetime) -> int:
    """Milliseconds since 1970, as MLflow writes times."""
    return int(time.timestamp() * 1_000)


def registered(version: Any) -> RegisteredVersion:
    """Of MLflow's own record, whose number is an int in process and text over REST."""
    return RegisteredVersion(
        name=version.name,
        version=str(version.version),
        market=version.tags["market"],
        algorithm=version.tags["algorithm"],
        cutoff=datetime.fromisoformat(version.tags["cutoff"]),
        run_id=version.run_id,
        source_uri=version.source,
        created=datetime.fromtimestamp(version.creation_timestamp / 1_000, UTC),
        tags=dict(version.tags),
    )


def describe_folder(folder: Path, file: ModelFile, card: ModelCard, *, run_id: str, model_id: str) -> None:
    """Add to a saved model what `mlflow.pyfunc.load_model` reads: `MLmodel`, requirements, an example."""
    mlflow = library()
    _write_requirements(folder, file.libraries)
    example = {"columns": list(card.features), "data": [list(row) for row in card.warmup_rows]}
    (folder / "input_example.json").write_text(json.dumps(example))
    model = mlflow.models.Model(
        run_id=run_id,
        model_id=model_id,
        signature=mlflow.models.ModelSignature(
            inputs=mlflow.types.Schema([mlflow.types.ColSpec("double", name) for name in card.features]),
            outputs=mlflow.types.Schema([mlflow.types.ColSpec("double", "predicted_return")]),
        ),
        saved_input_example_info={
            "artifact_path": "input_example.json",
            "type": "dataframe",
            "pandas_orient": "split",
        },
    )
    known = file.flavor in FLAVORS
    loader = f"mlflow.{file.flavor}" if known and card.output == AS_IT_IS else OWN_LOADER
    mlflow.pyfunc.add_to_model(model, loader_module=loader, data=file.filename, python_env="python_env.yaml")
    if known:
        facts = {f"{file.flavor}_version": installed_version(file.flavor), "data": file.filename, "code": None}
        model.add_flavor(file.flavor, **facts, **FLAVORS[file.flavor])
    model.save(folder / "MLmodel")


def _write_requirements(folder: Path, flavors: Sequence[str]) -> None:
    packages = ["mlflow", "numpy", "pandas", *flavors, *(["onnxruntime"] if "onnx" in flavors else [])]
    pinned = [f"{package}=={installed_version(package)}" for package in packages]
    (folder / "requirements.txt").write_text("\n".join(pinned) + "\n")
    (folder / "python_env.yaml").write_text(
        f"python: {platform.python_version()}\nbuild_dependencies: []\ndependencies:\n- -r requirements.txt\n"
    )
