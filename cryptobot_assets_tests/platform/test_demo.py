"""`cryptobot demo` as a user runs it: complete, repeatable, and the same after any interruption."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from cryptobot_assets.cli.report import run_report
from cryptobot_assets.resources import open_registry
from cryptobot_assets.settings import Settings
from cryptobot_assets.storage.metadata import release_metadata
from cryptobot_assets.storage.registry import Registry
from cryptobot_assets_tests.platform.commands import (
    Command,
    left_behind,
    read_report,
    read_tables,
    require_numbers,
    require_same_tables,
    run,
    start,
)

pytestmark = [pytest.mark.platform, pytest.mark.timeout(900)]

CURRENCIES = ("BTCUSDT", "ETHUSDT", "SOLUSDT")
ALGORITHMS = ("ridge", "xgboost")
DAYS = 365
TRIALS = FOLDS = CUTOFFS = 2
DEMO = (
    "demo", "--once", "--interval", "1h", "--currencies", ",".join(CURRENCIES), "--trials", TRIALS, "--folds", FOLDS,
    "--algorithms", ",".join(ALGORITHMS),
)  # fmt: skip


@dataclass(frozen=True)
class Done:
    """A home after an undisturbed demo, as a user starts it."""

    home: Path
    report: dict[str, Any]
    out: str
    tables: dict[str, pl.DataFrame]

    @property
    def models(self) -> dict[str, dict[str, Any]]:
        """The report's models by algorithm."""
        return {model["algorithm"]: model for model in self.report["models"]}


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Done:
    folder = tmp_path_factory.mktemp("undisturbed")
    home = folder / "home"
    out = run(home, *DEMO, "--home", home, "--report", folder / "report.json", cold=True)
    return Done(home, read_report(folder / "report.json"), out, read_tables(home))


@pytest.fixture(scope="module")
def registry(done: Done) -> Iterator[Registry]:
    settings = Settings.load(home=done.home)
    yield open_registry(settings)
    release_metadata(settings)


def test_the_report_has_every_part(done: Done) -> None:
    report = done.report
    assert report["interval"] == "1h" and report["currencies"] == list(CURRENCIES)
    assert report["days"] == {"from": "2025-01-01", "to": "2025-12-31"}
    assert "simulated" in report["source"]
    assert set(done.models) == set(ALGORITHMS)
    assert set(report["seconds"]) == {"ingest", "indicators", "tune", "evaluate", "serve", "total"}
    stages = sum(seconds for name, seconds in report["seconds"].items() if name != "total")
    assert 0 < stages <= report["seconds"]["total"]
    assert 200 < report["peak_rss_mb"] < 6000
    peaks = report["peak_rss_mb_by_stage"]
    assert set(peaks) == set(report["seconds"]) - {"total"} and 200 < max(peaks.values()) <= report["peak_rss_mb"] + 0.1
    require_numbers(report)


def test_the_counts_agree_with_the_tables(done: Done) -> None:
    klines, gaps = done.report["klines"], done.report["klines"]["gaps"]
    stored = done.tables["klines"]
    assert klines["rows"] == stored.height == done.report["indicators"]["rows"] == done.tables["indicators"].height
    assert set(stored["currency"].unique()) == set(CURRENCIES)
    assert klines["rows"] + klines["missing"] == klines["expected"] == len(CURRENCIES) * DAYS * 24
    hours = {(gap["currency"], datetime.fromisoformat(gap["to"]) - datetime.fromisoformat(gap["from"])) for gap in gaps}
    assert sum((span for _, span in hours), timedelta()) == timedelta(hours=klines["missing"])
    assert {currency for currency, _ in hours} == set(CURRENCIES), "the simulated outage halts every currency"


def test_klines_came_over_http_and_indicators_are_at_every_row(done: Done) -> None:
    klines, indicators = done.tables["klines"], done.tables["indicators"]
    assert set(klines["source"].unique()) == {"rest"}
    assert klines.select("currency", "time", "close").equals(indicators.select("currency", "time", "close"))
    late = indicators.filter(pl.col("time") >= datetime(2025, 6, 1, tzinfo=UTC))
    assert late.null_count().sum_horizontal().item() == 0, "no gap is near: every column is known"


def test_predictions_are_out_of_sample_by_the_version_in_force(done: Done) -> None:
    rows = done.tables["predictions"]
    cutoffs = sorted(rows["cutoff"].unique())
    assert cutoffs == [datetime(2025, 9, 1, tzinfo=UTC), datetime(2025, 11, 1, tzinfo=UTC)]
    assert rows.filter(pl.col("time") < pl.col("cutoff")).is_empty()
    in_force = pl.when(pl.col("time") >= cutoffs[1]).then(pl.lit("2")).otherwise(pl.lit("1"))
    assert rows.filter(pl.col("version") != in_force).is_empty()
    per_algorithm = done.tables["klines"].filter(pl.col("time") >= cutoffs[0]).height
    assert rows.height == per_algorithm * len(ALGORITHMS)
    unknown = rows.filter(pl.col("realised_return").is_null())
    assert unknown["time"].min() == datetime(2025, 12, 31, tzinfo=UTC)
    assert unknown.height == 24 * len(CURRENCIES) * len(ALGORITHMS)
    closes = done.tables["klines"].select("currency", "time", "close")
    later = closes.select("currency", pl.col("time") - timedelta(hours=24), later="close")
    truth = rows.join(closes, on=["currency", "time"]).join(later, on=["currency", "time"])
    error = truth.select((pl.col("later") / pl.col("close") - 1 - pl.col("realised_return")).abs().max()).item()
    assert error < 1e-12


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_the_figures_are_those_of_the_predictions(done: Done, algorithm: str) -> None:
    model = done.models[algorithm]
    rows = done.tables["predictions"].filter(algorithm=algorithm).drop_nulls()
    assert (model["market"], model["version"], model["cutoff"]) == ("ALL", "2", "2025-11-01T00:00:00+00:00")
    assert (model["trials"], model["folds"]) == (TRIALS, FOLDS)
    squared = (rows["predicted_return"] - rows["realised_return"]) ** 2
    assert model["mse"] == pytest.approx(squared.mean())
    assert model["mse_zero"] == pytest.approx((rows["realised_return"] ** 2).mean())
    classes = model["classification"]
    assert classes["0"]["support"] + classes["1"]["support"] == rows.height
    up = (rows["realised_return"] > 0).mean()
    assert classes["base_rate"] == pytest.approx(max(up, 1 - up))
    hits = ((rows["predicted_return"] > 0) == (rows["realised_return"] > 0)).mean()
    assert classes["accuracy"] == pytest.approx(hits, abs=1e-3)
    assert 1 <= classes["effective_n"] < rows.height / len(CURRENCIES)
    assert model["ic_ci"][0] < model["ic"] < model["ic_ci"][1]
    pool = model["pool_value"]
    assert 0 < pool["net_ci"][0] < pool["net"] < pool["net_ci"][1] and pool["net"] < pool["gross"]
    assert (pool["fee_bps"], pool["slippage_bps"]) == (10, 2)
    assert pool["trades"] > 0 and pool["seed"] > 0
    held = model["interval_coverage"]
    assert held["ci"][0] <= held["realised"] <= held["ci"][1] and 0.5 < held["realised"] < 1


def test_the_champion_is_one_of_the_models_and_serves(done: Done) -> None:
    champion, reply = done.report["champion"], done.report["prediction"]["response"]
    model = reply["model"]
    assert champion["market"] == "ALL" and done.models[champion["algorithm"]]["version"] == champion["version"]
    assert champion["verdict"]["reasons"]
    better = done.models[champion["algorithm"]]
    skilled = champion["algorithm"] in done.report["skill"]["superior"]
    assert champion["verdict"]["promote"] == (skilled and better["mse"] < better["mse_zero"])
    assert model["verdict"] == ("passed" if champion["verdict"]["promote"] else "unproven")
    assert (model["algorithm"], model["version"]) == (champion["algorithm"], champion["version"])
    assert (model["name"], model["market"]) == (f"cryptobot-ALL-{champion['algorithm']}", "ALL")
    assert done.report["prediction"]["request"] == {"currency": "BTCUSDT"}
    assert reply["interval"][0] < reply["predicted_return"] < reply["interval"][1]
    assert reply["direction"] == ("up" if reply["predicted_return"] > 0 else "down")
    assert (reply["time"], reply["known_at"]) == ("2025-12-31T23:00:00Z", "2026-01-01T00:00:00Z")
    assert reply["age_seconds"] > 0


def test_the_service_answers_what_is_stored(done: Done) -> None:
    reply = done.report["prediction"]["response"]
    row = (
        done.tables["predictions"]
        .filter(currency=reply["currency"], algorithm=reply["model"]["algorithm"], version=reply["model"]["version"])
        .filter(pl.col("time") == datetime.fromisoformat(reply["time"]))
    )
    assert row["predicted_return"].to_list() == pytest.approx([reply["predicted_return"]], rel=1e-9, abs=1e-12)


def test_its_lineage_reaches_the_klines(done: Done, registry: Registry) -> None:
    reply = done.report["prediction"]["response"]
    steps = json.loads(run(done.home, "lineage", reply["prediction_id"], "--json"))
    assert list(steps) == ["prediction", "model_version", "trial", "training_set", "indicators", "klines"]
    assert steps["prediction"]["predicted_24_h_return"] == pytest.approx(reply["predicted_return"], rel=1e-9)
    (held,) = [
        one for one in registry.versions("ALL", reply["model"]["algorithm"]) if one.version == reply["model"]["version"]
    ]
    tags = registry.run_tags(held)
    model, rows = steps["model_version"], steps["training_set"]
    assert (model["registered"], model["mlflow_run"]) == (held.uri, held.run_id)
    assert (model["code_commit"], model["dagster_run"]) == (tags["git_commit"], tags["dagster_run_id"])
    assert model["dagster_run"] in rows["dagster_runs"], "read and learnt from in one run"
    assert (rows["store_version"], rows["digest"]) == (tags["store_version"], tags["training_set_digest"])
    assert steps["trial"]["of"] == TRIALS and steps["trial"]["number"] in range(TRIALS)
    assert steps["indicators"]["partitions"] == "BTCUSDT|2025-12-01"
    assert steps["klines"]["partitions"] == "BTCUSDT|2025-12-01", "28 days reach no further"
    assert steps["klines"]["rows"] == sum(steps["klines"]["sources"].values()) > 28 * 24
    for part in ("indicators", "klines"):
        assert "partitions_not_recorded" not in steps[part] and "-" in steps[part]["dagster_runs"]


def test_the_leaderboard_is_honest(done: Done) -> None:
    for words in (*ALGORITHMS, "control: holding", "net value (90 %)", "base rate", "eff. n", "fee", "simulated"):
        assert words in done.out
    beaten = all(model["pool_value"]["net"] <= done.report["control"]["net"] for model in done.report["models"])
    assert ("No model beats the control" in done.out) == beaten


def test_the_registry_names_aliases_and_records(done: Done, registry: Registry) -> None:
    versions = registry.versions("ALL")
    assert [(one.name, one.version) for one in versions] == [
        (f"cryptobot-ALL-{algorithm}", str(number)) for algorithm in ALGORITHMS for number in range(1, CUTOFFS + 1)
    ]
    champion, challenger = registry.champion("ALL"), registry.challenger("ALL")
    assert champion.name == challenger.name == "cryptobot-ALL"
    assert champion.algorithm == done.report["champion"]["algorithm"]
    for version in versions:
        held = registry.client.get_run(version.run_id)
        assert held.info.status == "FINISHED"
        assert len(held.data.params["features"].split(",")) == 33
        assert {"start_time", "end_time", "horizon_hours", "prediction_definition"} <= set(held.data.params)
        assert datetime.fromisoformat(held.data.params["end_time"]) < version.cutoff
        wanted = {"git_commit", "store_version", "dagster_run_id", "asset_key", "partition", "market", "cutoff"}
        assert wanted <= set(held.data.tags)
        assert held.data.tags["partition"] == f"{version.cutoff:%Y-%m-%d}|ALL"
        trials = registry.client.search_runs([held.info.experiment_id], f"tags.mlflow.parentRunId = '{version.run_id}'")
        assert len(trials) == TRIALS
        assert min(trial.data.metrics["mse"] for trial in trials) == pytest.approx(held.data.metrics["cv_mse"])
    newest = registry.client.get_run(versions[-1].run_id)
    assert newest.data.metrics["oos_mse"] == pytest.approx(done.models["xgboost"]["mse"])
    files = {one.path for one in registry.client.list_artifacts(newest.info.run_id, "plots")}
    assert {"plots/trials.png", "plots/importance.png", "plots/actual_against_predicted.png"} <= files


def test_sql_counts_what_the_report_does(done: Done) -> None:
    names = ("klines", "indicators", "predictions")
    query = "SELECT " + ", ".join(f"(SELECT count(*) FROM {name})" for name in names)
    rows = run(done.home, "sql", query, "--format", "csv").splitlines()[1].split(",")
    assert [int(row) for row in rows] == [done.tables[name].height for name in names]


def test_the_report_command_repeats_the_report(done: Done) -> None:
    whole = json.loads(run(done.home, "report", "--json"))
    assert whole == {name: done.report[name] for name in ("models", "control", "champion")}


def test_the_report_of_some_days_reads_those_alone(
    done: Done, registry: Registry, capsys: pytest.CaptureFixture[str]
) -> None:
    run_report(Settings.load(home=done.home), "ALL", date(2025, 9, 10), date(2025, 10, 9), as_json=True)
    part = json.loads(capsys.readouterr().out)
    for model in part["models"]:
        assert model["version"] == "1", "the second cutoff is later"
        counts = model["classification"]
        assert counts["0"]["support"] + counts["1"]["support"] == 30 * 24 * len(CURRENCIES)
    assert part["control"] != done.report["control"]


def test_the_evaluation_left_a_page_and_a_card(done: Done, registry: Registry, tmp_path: Path) -> None:
    page = (done.home / "reports" / "ALL.html").read_text()
    for version in (registry.versions("ALL", name)[-1] for name in ALGORITHMS):
        kept = registry.client.download_artifacts(version.run_id, "report.html", str(tmp_path))
        assert Path(kept).read_text() == page
        card = registry.description(version)
        assert card.startswith(f"# {version.algorithm} for ALL") and "out-of-sample squared error" in card
        assert "simulated market" in card
    assert page.count('<figure class="trials">') == page.count('<figure class="importance">') == len(ALGORITHMS)
    held = json.loads(page.rpartition('id="report">')[2].partition("</script>")[0])
    assert held["models"] == done.report["models"] and held["control"] == done.report["control"]


@dataclass(frozen=True)
class Interruption:
    """What one interruption found and left."""

    code: int
    err: str
    left: list[str]
    klines: int
    models: int


def klines_files(home: Path) -> int:
    return sum(1 for _ in (home / "lake" / "klines").glob("currency=*/*.parquet"))


def model_files(home: Path) -> int:
    return sum(1 for _ in (home / "mlflow").glob("*/models/*/artifacts/cryptobot.json"))


def interrupt(command: Command, home: Path, number: signal.Signals) -> Interruption:
    """Signal the main process alone."""
    command.process.send_signal(number)
    code, _, err = command.finish()
    left = left_behind(home)
    return Interruption(code, err, left, read_tables(home)["klines"].height, model_files(home))


@dataclass(frozen=True)
class Battered:
    """A home whose demo was interrupted three times before it came to its end."""

    home: Path
    report: dict[str, Any]
    out: str
    interrupted: Interruption
    killed_at_klines: Interruption
    killed_in_training: Interruption


@pytest.fixture(scope="module")
def battered(tmp_path_factory: pytest.TempPathFactory) -> Battered:
    folder = tmp_path_factory.mktemp("battered")
    home = folder / "home"
    arguments = (*DEMO, "--home", home, "--report", folder / "report.json")
    command = start(home, *arguments)
    command.until(lambda: "Ingest klines" in command.out.read_text(), "ingestion")
    interrupted = interrupt(command, home, signal.SIGINT)
    command = start(home, *arguments)
    command.until(lambda: klines_files(home) > 0, "klines")
    killed_at_klines = interrupt(command, home, signal.SIGKILL)
    command = start(home, *arguments)
    command.until(lambda: model_files(home) > 0, "a model")
    killed_in_training = interrupt(command, home, signal.SIGKILL)
    out = run(home, *arguments)
    return Battered(home, read_report(folder / "report.json"), out, interrupted, killed_at_klines, killed_in_training)


def test_the_interruptions_came_when_they_should(battered: Battered, done: Done) -> None:
    whole = done.tables["klines"].height
    assert battered.interrupted.klines < whole
    assert battered.killed_at_klines.klines in {0, whole}, "one write holds the klines of every currency"
    assert battered.killed_at_klines.models == 0
    assert battered.killed_in_training.klines == whole
    assert 0 < battered.killed_in_training.models < CUTOFFS * len(ALGORITHMS)


def test_ctrl_c_ends_everything_with_one_line(battered: Battered) -> None:
    assert battered.interrupted.code == 130
    assert battered.interrupted.err.strip() == "interrupted; run it again to go on from here"
    assert battered.interrupted.left == []


def test_a_kill_leaves_no_process(battered: Battered) -> None:
    for killed in (battered.killed_at_klines, battered.killed_in_training):
        assert killed.code == -signal.SIGKILL
        assert killed.left == []


def test_after_any_interruption_the_tables_and_figures_are_the_same(battered: Battered, done: Done) -> None:
    require_same_tables(read_tables(battered.home), done.tables)
    same = ("klines", "indicators", "models", "control", "champion", "words")
    assert {name: battered.report[name] for name in same} == {name: done.report[name] for name in same}


def test_what_was_done_before_is_neither_done_again_nor_registered_twice(battered: Battered) -> None:
    for stage in ("Ingest klines", "Build indicators"):
        assert f"{stage}: done in" in battered.out, "no row was made again"
    settings = Settings.load(home=battered.home)
    try:
        registry = open_registry(settings)
        assert len(registry.versions("ALL")) == CUTOFFS * len(ALGORITHMS)
        assert len(registry.promoted("ALL")) == 1
    finally:
        release_metadata(settings)


def test_no_process_is_left_behind(battered: Battered, done: Done, registry: Registry) -> None:
    assert left_behind(battered.home) == []
    release_metadata(Settings.load(home=done.home))
    assert left_behind(done.home) == []
