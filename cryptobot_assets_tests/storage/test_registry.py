from __future__ import annotations

import itertools
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
import polars as pl
import pytest

from cryptobot_assets.contracts.models import (
    FEATURES,
    default_params,
    fit_default,
    holds_no_pickle,
    make_card,
    make_returns,
)
from cryptobot_assets.errors import RegistryError, UsageError
from cryptobot_assets.models.algorithms import ALGORITHMS
from cryptobot_assets.models.base import TrialRecord
from cryptobot_assets.models.card import warmup
from cryptobot_assets.models.loading import load_scorer, warm_up
from cryptobot_assets.models.output import VolatilityScale
from cryptobot_assets.models.preparation import PreparedModel
from cryptobot_assets.storage import mlflow_client
from cryptobot_assets.storage.registry import Registry
from cryptobot_assets.storage.registry_records import RegisteredVersion, Training
from cryptobot_assets.storage.registry_runs import read_run, read_tables
from cryptobot_assets_tests.conftest import MakeDatabase

UNPROVEN = {"promote": False, "reasons": ["error not below zero's", "too few days"]}
PASSED = {"promote": True, "reasons": ["beats zero and the reigning champion"]}
_markets = (f"COIN{number}USDT" for number in itertools.count())


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Registry:
    """One registry in SQLite; each test takes a market of its own."""
    folder = tmp_path_factory.mktemp("registry")
    return Registry(f"sqlite:///{folder}/deep/mlflow.db", folder / "artifacts")


@pytest.fixture
def market() -> str:
    return next(_markets)


def make_training(market: str, algorithm: str = "ridge", *, day: int = 1, fingerprint: str = "f1") -> Training:
    return Training(
        market=market,
        algorithm=algorithm,
        cutoff=datetime(2024, 1, day, tzinfo=UTC),
        fingerprint=fingerprint,
        params={"features": list(FEATURES), "horizon_hours": 24},
        tags={"git_commit": "abc123", "store_version": f"indicators@{day}"},
    )


def make_trial(number: int, *, value: float | None = 2e-3) -> TrialRecord:
    failed = {"value": None, "fold_values": (), "state": "failed", "error": "ValueError: no"}
    fine = {"value": value, "fold_values": (1e-3, 3e-3), "state": "complete"}
    return TrialRecord(
        number=number, params={"penalty": 0.1 * number}, seconds=0.5, **(failed if value is None else fine)
    )


def train(
    registry: Registry, market: str, algorithm: str = "ridge", *, day: int = 1, fingerprint: str = "f1"
) -> RegisteredVersion:
    hours = np.datetime64("2023-01-01", "us") + np.arange(100).repeat(3) * np.timedelta64(1, "h")
    model = fit_default(algorithm, *make_returns(rows=300), time=hours)
    training = make_training(market, algorithm, day=day, fingerprint=fingerprint)
    with registry.training_run(training) as run:
        run.log_trial(make_trial(0))
        run.log_trial(make_trial(1, value=None))
        return run.finish(
            model,
            make_card(model, algorithm=algorithm, market=market, day=day),
            params=default_params(algorithm),
            metrics={"mse": 1e-3, "ic": None},
            plots={"importance.png": b"\x89PNG"},
            tables={"importance.json": model.importance(FEATURES)},
        )


def nested_runs(registry: Registry, market: str) -> list[mlflow.entities.Run]:
    experiment = registry.client.get_experiment_by_name(f"cryptobot-{market}")
    runs = registry.client.search_runs([experiment.experiment_id])
    return sorted((run for run in runs if "mlflow.parentRunId" in run.data.tags), key=lambda run: run.info.run_name)


def parent_runs(registry: Registry, market: str) -> list[mlflow.entities.Run]:
    experiment = registry.client.get_experiment_by_name(f"cryptobot-{market}")
    runs = registry.client.search_runs([experiment.experiment_id])
    return [run for run in runs if "mlflow.parentRunId" not in run.data.tags]


def artifact(registry: Registry, run_id: str, name: str) -> bytes:
    return Path(mlflow.artifacts.download_artifacts(
        run_id=run_id, artifact_path=name, tracking_uri=registry.tracking_uri
    )).read_bytes()  # fmt: skip


@pytest.mark.parametrize("algorithm", list(ALGORITHMS))
def test_mlflow_and_the_platform_load_the_same_model(
    registry: Registry, market: str, algorithm: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    version = train(registry, market, algorithm)
    folder = registry.download(version, tmp_path / "model")
    scorer = warm_up(load_scorer(folder))
    assert holds_no_pickle(folder)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", registry.tracking_uri)
    loaded = mlflow.pyfunc.load_model(version.uri)
    X, _ = make_returns(rows=50, seed=4)
    answered = np.ravel(np.asarray(loaded.predict(pd.DataFrame(X, columns=list(FEATURES)))))
    np.testing.assert_allclose(answered, scorer.predict(X), rtol=1e-6, atol=1e-9)
    assert list(loaded.input_example.columns) == list(FEATURES)
    assert loaded.metadata.signature.inputs.input_names() == list(FEATURES)
    assert loaded.metadata.signature.outputs.input_names() == ["predicted_return"]


def test_mlflow_loads_a_model_whose_file_alone_is_not_the_prediction(
    registry: Registry, market: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lags = tuple(f"close_lag_{24 * n}h" for n in range(1, 6))
    X = np.random.default_rng(0).normal(0, 0.03, (300, len(lags)))
    scale = VolatilityScale(floor=0.01, ceiling=0.5)
    model = PreparedModel(fit_default("ridge", X, 3 * X[:, 0]), scale, lags)
    card = replace(make_card(fit_default("ridge", *make_returns(rows=50)), market=market), features=lags)
    with registry.training_run(make_training(market)) as run:
        version = run.finish(model, replace(card, **warmup(model, X[:3])), params={}, metrics={}, plots={}, tables={})
    monkeypatch.setenv("MLFLOW_TRACKING_URI", registry.tracking_uri)
    answered = mlflow.pyfunc.load_model(version.uri).predict(pd.DataFrame(X, columns=list(lags)))
    np.testing.assert_allclose(answered, model.predict(X), rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(model.predict(X) / model.inner.predict(X), scale.of(X, lags))


def test_a_version_says_where_it_comes_from(registry: Registry, market: str) -> None:
    version = train(registry, market, "lasso", day=5)
    assert (version.name, version.version) == (f"cryptobot-{market}-lasso", "1")
    assert (version.market, version.algorithm) == (market, "lasso")
    assert version.cutoff == datetime(2024, 1, 5, tzinfo=UTC)
    assert registry.versions(market) == [version]
    run = registry.client.get_run(version.run_id)
    assert run.info.status == "FINISHED"
    assert run.data.params["horizon_hours"] == "24"
    assert run.data.params["alpha"] == "0.005"
    assert json.loads(run.data.params["features"]) == list(FEATURES)
    assert run.data.tags.items() >= {"git_commit": "abc123", "store_version": "indicators@5", "market": market}.items()
    assert run.data.metrics == {"mse": 1e-3}
    assert artifact(registry, version.run_id, "plots/importance.png") == b"\x89PNG"


def test_each_trial_is_a_nested_run_and_a_row_of_the_history(registry: Registry, market: str) -> None:
    version = train(registry, market)
    fine, failed = nested_runs(registry, market)
    assert fine.data.tags["mlflow.parentRunId"] == failed.data.tags["mlflow.parentRunId"] == version.run_id
    assert fine.data.metrics == {"mse": 2e-3, "mse_fold_1": 1e-3, "mse_fold_2": 3e-3, "seconds": 0.5}
    assert fine.info.end_time - fine.info.start_time == pytest.approx(500, abs=2)
    assert (failed.info.status, failed.data.tags["error"]) == ("FAILED", "ValueError: no")
    history = pl.read_csv(BytesIO(artifact(registry, version.run_id, "tables/trials.csv")))
    assert history["state"].to_list() == ["complete", "failed"]
    assert history["mse"].to_list() == [2e-3, None]
    assert history["param_penalty"].to_list() == [0.0, 0.1]


@pytest.mark.parametrize(("cause", "status"), [(ValueError, "FAILED"), (KeyboardInterrupt, "KILLED")])
def test_a_training_cut_short_leaves_its_trials_and_no_version(
    registry: Registry, market: str, cause: type[BaseException], status: str
) -> None:
    with pytest.raises(cause), registry.training_run(make_training(market)) as run:
        run.log_trial(make_trial(0))
        raise cause
    assert [one.info.status for one in parent_runs(registry, market)] == [status]
    assert [one.data.metrics["mse"] for one in nested_runs(registry, market)] == [2e-3]
    assert registry.versions(market) == []


def test_a_model_that_its_file_does_not_repeat_is_not_registered(registry: Registry, market: str) -> None:
    model, other = (fit_default("ridge", *make_returns(rows=300, seed=seed)) for seed in (0, 1))
    with (
        pytest.raises(RegistryError, match="does not repeat"),
        registry.training_run(make_training(market)) as run,
    ):
        run.finish(model, make_card(other, market=market), params={}, metrics={}, plots={}, tables={})
    assert registry.versions(market) == []
    assert [one.info.status for one in parent_runs(registry, market)] == ["FAILED"]


def test_the_same_training_is_found_again(registry: Registry, market: str) -> None:
    first = train(registry, market, fingerprint="f1")
    train(registry, market, day=2, fingerprint="f2")
    assert registry.find(market, "ridge", first.cutoff, "f1") == first
    assert registry.find(market, "ridge", first.cutoff, "f2") is None
    assert registry.find(market, "lasso", first.cutoff, "f1") is None


def test_the_versions_of_tables_that_models_were_trained_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mlflow_database: MakeDatabase
) -> None:
    monkeypatch.setattr(mlflow_client, "RUNS_A_PAGE", 2)
    registry = Registry(mlflow_database(tmp_path / "mlflow.db"), tmp_path / "artifacts")
    assert registry.trained_on() == {}
    for day, market in ((3, "ONEUSDT"), (5, "ONEUSDT"), (5, "TWOUSDT"), (9, "TWOUSDT")):
        train(registry, market, day=day)
    with pytest.raises(ValueError), registry.training_run(make_training("ONEUSDT", day=20)):
        raise ValueError("cut short")
    assert registry.trained_on() == {"indicators": {"3", "5", "9"}}


def test_versions_come_by_algorithm_and_cutoff(registry: Registry, market: str) -> None:
    for algorithm, day in (("ridge", 9), ("ridge", 2), ("lasso", 3), ("ridge", 2)):
        train(registry, market, algorithm, day=day)
    train(registry, f"{market}X")
    listed = [(one.algorithm, one.cutoff.day, one.version) for one in registry.versions(market)]
    assert listed == [("lasso", 3, "1"), ("ridge", 2, "2"), ("ridge", 2, "3"), ("ridge", 9, "1")]
    assert [one.version for one in registry.versions(market, "lasso")] == ["1"]


def test_promotion_copies_once_and_remembers(
    registry: Registry, market: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert registry.champion(market) is None
    ridge, lasso = train(registry, market, "ridge"), train(registry, market, "lasso", day=3)
    first = registry.promote(ridge, alias="champion", verdict=UNPROVEN)
    assert registry.promote(ridge, alias="champion", verdict=UNPROVEN) == first
    assert (first.name, first.version, first.verdict) == (f"cryptobot-{market}", "1", "unproven")
    assert (first.source_name, first.source_version) == (ridge.name, ridge.version)
    assert first.reasons == UNPROVEN["reasons"]
    assert first.run_id == ridge.run_id
    assert registry.champion(market) == first
    assert registry.challenger(market) is None

    registry.promote(lasso, alias="challenger", verdict=UNPROVEN)
    second = registry.promote(lasso, alias="champion", verdict=PASSED)
    back = registry.promote(ridge, alias="champion", verdict=PASSED)
    assert (second.version, second.algorithm, second.cutoff.day) == ("2", "lasso", 3)
    assert (back.version, back.verdict) == ("1", "passed")
    assert [(one["alias"], one["verdict"]) for one in second.promotions] == [
        ("challenger", "unproven"),
        ("champion", "passed"),
    ]
    assert [one["verdict"] for one in back.promotions] == ["unproven", "passed"]
    assert [one.version for one in registry.promoted(market)] == ["2", "1"]
    assert registry.challenger(market).version == "2"

    folder = registry.download(registry.champion(market), tmp_path / "champion")
    assert load_scorer(folder).card.algorithm == "ridge"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", registry.tracking_uri)
    assert mlflow.pyfunc.load_model(f"models:/cryptobot-{market}@champion").metadata.signature


def test_a_promoted_copy_may_be_promoted_itself(registry: Registry, market: str) -> None:
    challenger = registry.promote(train(registry, market), alias="challenger", verdict=UNPROVEN)
    champion = registry.promote(challenger, alias="champion", verdict=PASSED)
    assert (champion.version, champion.source_name) == (challenger.version, f"cryptobot-{market}-ridge")


def test_a_version_carries_its_card_and_so_does_the_promoted_copy(registry: Registry, market: str) -> None:
    version = train(registry, market)
    card = registry.description(version)
    assert card.startswith(f"# ridge for {market}, as of 2024-01-01") and "abc123" in card
    assert artifact(registry, version.run_id, "MODEL_CARD.md").decode() == card
    champion = registry.promote(version, alias="champion", verdict=UNPROVEN)
    assert registry.description(champion) == card
    registry.describe(version, long := "line\n" * 2000)
    told = registry.description(champion)
    assert told == registry.description(version) and len(told) <= 5000 and told.startswith("line\n")
    assert artifact(registry, version.run_id, "MODEL_CARD.md").decode() == long


def test_an_evaluation_lands_on_the_versions_run(registry: Registry, market: str) -> None:
    version = train(registry, market)
    registry.log_evaluation(
        version,
        metrics={"ic": 0.04, "net": None},
        plots={"actual.png": b"png"},
        tables={"evaluation.json": {"rows": 3}, "days.csv": pl.DataFrame({"day": [1, 2]})},
        pages={"report.html": "<p>"},
    )
    assert artifact(registry, version.run_id, "report.html") == b"<p>"
    assert read_run(registry, version).metrics["ic"] == 0.04
    assert read_tables(registry, version)["days.csv"] == b"day\n1\n2\n"
    assert registry.client.get_run(version.run_id).data.metrics["ic"] == 0.04
    assert artifact(registry, version.run_id, "plots/actual.png") == b"png"
    assert artifact(registry, version.run_id, "tables/evaluation.json") == b'{\n "rows": 3\n}'
    assert artifact(registry, version.run_id, "tables/days.csv") == b"day\n1\n2\n"


def test_a_download_is_kept_until_the_version_is_another(registry: Registry, market: str, tmp_path: Path) -> None:
    ridge, lasso = train(registry, market, "ridge"), train(registry, market, "lasso")
    folder = registry.download(ridge, tmp_path / "cache")
    stamp = (folder / "MLmodel").stat().st_mtime_ns
    assert registry.download(ridge, tmp_path / "cache") == folder
    assert (folder / "MLmodel").stat().st_mtime_ns == stamp
    assert load_scorer(registry.download(lasso, tmp_path / "cache")).card.algorithm == "lasso"
    assert {path.name for path in tmp_path.iterdir()} - {"machine"} == {"cache"}


def test_a_missing_artifact_is_one_clear_line(registry: Registry, market: str, tmp_path: Path) -> None:
    version = train(registry, market)
    source = Path(version.source_uri.removeprefix("file://"))
    (source / "cryptobot.json").unlink()
    with pytest.raises(RegistryError, match=r"holds no cryptobot\.json"):
        registry.download(version, tmp_path / "a")
    assert not (tmp_path / "a").exists()


def closed_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


@pytest.mark.parametrize("scheme", ["http", "postgresql"])
def test_a_registry_that_is_down_is_told_at_once(scheme: str, tmp_path: Path) -> None:
    registry = Registry(f"{scheme}://someone:secret@127.0.0.1:{closed_port()}/mlflow", tmp_path)
    started = time.monotonic()
    with pytest.raises(RegistryError, match=r"^model registry .*127\.0\.0\.1") as caught:
        registry.require_answer()
    assert time.monotonic() - started < 60
    assert "secret" not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_dead_server_says_what_to_do_and_nothing_else(tmp_path: Path) -> None:
    code = f"""
from cryptobot_assets.errors import RegistryError
from cryptobot_assets.storage import mlflow_client
from cryptobot_assets.storage.registry import Registry
try:
    Registry("http://127.0.0.1:{closed_port()}").require_answer()
except RegistryError as error:
    print(error)
"""
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.endswith(": nothing answers; start it or correct MLFLOW_TRACKING_URI\n")
    assert ran.stderr == ""


def test_an_sqlite_file_that_cannot_be_is_told_at_once(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(RegistryError, match="model registry sqlite"):
        Registry(f"sqlite:///{tmp_path}/file/mlflow.db", tmp_path).require_answer()


def test_what_is_no_address_is_refused() -> None:
    with pytest.raises(UsageError, match="MLFLOW_TRACKING_URI must be"):
        Registry("somewhere over there")


def test_postgresql_is_read_through_psycopg2() -> None:
    assert Registry("postgresql://u:p@h/db").tracking_uri == "postgresql+psycopg2://u:p@h/db"


def test_a_database_registry_needs_a_place_for_models(registry: Registry, market: str) -> None:
    homeless = Registry(registry.tracking_uri)
    with pytest.raises(RegistryError, match="needs an artifact_root"), homeless.training_run(make_training(market)):
        pass


@pytest.fixture
def server(tmp_path: Path, mlflow_database: MakeDatabase) -> Iterator[str]:
    """A real MLflow server that keeps its artifacts itself."""
    port = closed_port()
    command = [
        sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1",
        "--backend-store-uri", mlflow_database(tmp_path / "server.db"),
        "--artifacts-destination", str(tmp_path / "served"),
    ]  # fmt: skip
    environment = os.environ | {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    with (tmp_path / "server.log").open("w") as log:
        process = subprocess.Popen(
            command, env=environment, stdout=log, stderr=subprocess.STDOUT, start_new_session=True
        )
    try:
        deadline = time.monotonic() + 90
        while time.monotonic() < deadline and process.poll() is None:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.2)
        assert process.poll() is None, (tmp_path / "server.log").read_text()
        yield f"http://127.0.0.1:{port}"
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


@pytest.mark.platform
def test_it_all_works_over_a_server(server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    registry = Registry(server).require_answer()
    version = train(registry, "ALL", "xgboost")
    assert version.version == "1"
    assert registry.find("ALL", "xgboost", version.cutoff, "f1") == version
    assert registry.champion("ALL") is None
    champion = registry.promote(version, alias="champion", verdict=PASSED)
    assert registry.promote(version, alias="champion", verdict=PASSED) == champion == registry.champion("ALL")
    registry.log_evaluation(champion, metrics={"ic": 0.1}, plots={"a.png": b"png"}, tables={})
    scorer = warm_up(load_scorer(registry.download(champion, tmp_path / "cache" / "model")))
    assert scorer.card.algorithm == "xgboost"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", server)
    X, _ = make_returns(rows=5)
    answered = mlflow.pyfunc.load_model("models:/cryptobot-ALL@champion").predict(
        pd.DataFrame(X, columns=list(FEATURES))
    )
    np.testing.assert_allclose(answered, scorer.predict(X))
