"""The loop closed: a planted change of the market is found, learned, judged and served without a hand.

::

    day 110        145               178                181
    |-- v1 serves --|-- moves x 3 ----|------------------|
                          klines -> indicators -> predictions -> verdict -> drift report: intervals do not hold
                            -> training, v2 -> challenger, in shadow
                                              klines -> ... -> verdict: v2 passes -> alias -> every worker
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

import dagster as dg
import httpx
import pytest

from cryptobot_assets.assets.decay import RETRAIN
from cryptobot_assets.assets.training_record import REASON_TAG
from cryptobot_assets.cli.ranges import missing_ranges, whole_ranges
from cryptobot_assets.cli.service import start_service
from cryptobot_assets.code_server import code_server
from cryptobot_assets.dagster_home import PROCESS_TAG
from cryptobot_assets.deployment import Deployment, open_deployment, open_instance
from cryptobot_assets.domain.intervals import DAY, HOUR
from cryptobot_assets.exchange.regime import Regime
from cryptobot_assets.exchange.simulation import simulate
from cryptobot_assets.partitions import model_key
from cryptobot_assets.processes import Supervisor
from cryptobot_assets.profile import HomeProfile, write_profile
from cryptobot_assets.resources import open_registry
from cryptobot_assets.settings import Settings
from cryptobot_assets.storage.metadata import release_metadata
from cryptobot_assets.storage.registry import Registry
from cryptobot_assets.storage.served_spool import FOLDER, find_served
from cryptobot_assets.storage.store import open_store
from cryptobot_assets_tests.patience import PATIENCE_SECONDS
from cryptobot_assets_tests.platform.commands import left_behind, run
from cryptobot_assets_tests.platform.unattended import Daemon, Exchange, Time, environment
from cryptobot_assets_tests.serving.platform import Hammer, Service, wait_until

pytestmark = [pytest.mark.platform, pytest.mark.timeout(1800)]

START = datetime(2025, 1, 1, tzinfo=UTC)
SEED, CURRENCIES, STRENGTH = 11, 4, 8.0
FIRST_CUTOFF, CHANGE, FOUND, JUDGED = (START + days * DAY for days in (110, 145, 178, 181))
LARGER = 3.0
CLOCK = datetime(2025, 9, 3, 3, tzinfo=UTC)
"""Of the daemon's schedules alone; what time it is on a simulated market, its exchange says."""
NEVER = "0 0 1 1 *"
MODELS = ("training_set", "ridge_model", "challenger_model")
EVALUATION = ("evaluation_report", "pool_value", "champion_model")


@dataclass(frozen=True)
class Loop:
    """A platform at work."""

    settings: Settings
    daemon: Daemon
    registry: Registry
    service: Service
    market_time: Time
    clock: Time

    def next_day(self, now: datetime, *, ingestion: datetime, evaluation: datetime) -> None:
        """The market goes on until `now`; klines are ingested at one tick, models judged at the other."""
        before = self.daemon.recorded("predictions")
        self.market_time.jump(now)
        self.clock.jump(ingestion)
        keys = {f"{currency}|{now:%Y-%m}-01" for currency in self.settings.currencies}

        def predicted() -> bool:
            after = self.daemon.recorded("predictions")
            return all(after.get(key, -1) > before.get(key, -1) for key in keys)

        self.daemon.until(predicted, f"predictions of {now:%Y-%m}")
        self.daemon.until_idle()
        self.clock.jump(evaluation)

    def told(self, asset: str) -> dict[str, object]:
        """Metadata of an asset's newest materialization."""
        event = self.daemon.instance.get_latest_materialization_event(dg.AssetKey(asset))
        return {name: one.value for name, one in event.asset_materialization.metadata.items()} if event else {}

    def aliases(self) -> dict[str, list[str]]:
        """Versions that the service has loaded, with their aliases."""
        models = self.service.client.get("/models").json()["models"]
        return {model["version"]: model["aliases"] for model in models}


@pytest.fixture
def loop(tmp_path_factory: pytest.TempPathFactory, _exchange_loop: asyncio.AbstractEventLoop) -> Iterator[Loop]:
    """A home whose first version serves in the calm market, and what `cryptobot up` starts of it that it needs."""
    folder = tmp_path_factory.mktemp("loop")
    regime = Regime(CHANGE.date(), STRENGTH, LARGER)
    market = simulate(SEED, CURRENCIES, days=183, interval="1h", start=START, predictability=STRENGTH, regime=regime)
    market_time, clock = Time(folder / "market"), Time(folder / "clock")
    exchange = Exchange(market, market_time, _exchange_loop)
    given = {
        "HOME": folder / "home", "EXCHANGE_URL": exchange.url, "ALGORITHMS": "ridge", "TRIALS": 2, "FOLDS": 2,
        "SECOND_LOOK_ROWS": 0, "DRAWS": 200, "PICTURES": 0,
        "CATCH_UP_DAYS": 40, "AUTOMATION": "true", "SENSOR_SECONDS": 8, "RETRIES": 0,
        "FRESHNESS_HOURS": 1e6, "INGESTION_CRON": "0 6,15 * * *", "EVALUATION_CRON": "0 10,20 * * *",
        **{f"{name}_CRON": NEVER for name in ("INDICATORS", "TRAINING", "SERVED", "PAPER", "BACKUP", "MAINTENANCE")},
    }  # fmt: skip
    (folder / "home").mkdir()
    facts = {"kind": "simulated", "seed": SEED, "interval": "1h"}
    write_profile(folder / "home", HomeProfile("1h", "month", market.currencies, START.date(), "ALL", facts))
    market_time.jump(CHANGE)
    exchange.up()
    with environment(given), code_server() as code, Supervisor() as programs:
        settings = Settings.load()
        with open_deployment(settings) as deployment:
            bring_a_champion(deployment)
        with open_instance(settings) as instance:
            clock.jump(CLOCK)
            daemon = Daemon.start(instance, programs, code, clock, folder)
            url = start_service(settings, programs, port=None)
            with httpx.Client(base_url=url, timeout=PATIENCE_SECONDS, trust_env=False) as client:
                service = Service(client, daemon.child, settings.home / "logs" / "service.log")
                yield Loop(settings, daemon, open_registry(settings), service, market_time, clock)
            programs.stop()
        release_metadata(settings)
    exchange.down()
    assert left_behind(folder) == []


def bring_a_champion(deployment: Deployment) -> None:
    """The calm market up to its change, and a version that passes in it."""
    settings, last = deployment.settings, (CHANGE - HOUR).date()
    for layer in ("klines", "indicators"):
        for one in missing_ranges(deployment, layer, settings.currencies, START.date(), last):
            deployment.materialize([one.asset], key_range=one.keys)
    deployment.materialize(list(MODELS), key=model_key("ALL", FIRST_CUTOFF))
    for one in whole_ranges(deployment, "predictions", FIRST_CUTOFF.date(), last):
        deployment.materialize([one.asset], key_range=one.keys)
    deployment.materialize(list(EVALUATION), key="ALL")


def test_a_change_of_the_market_is_found_learned_judged_and_served_without_a_hand(loop: Loop) -> None:
    champion = loop.registry.champion("ALL")
    assert (champion.source_version, champion.verdict) == ("1", "passed")
    narrow = interval_of(loop.service.predict())
    loop.daemon.until_looked("drift_sensor", "indicators_sensor", "predictions_sensor")
    loop.next_day(FOUND, ingestion=CLOCK.replace(hour=6), evaluation=CLOCK.replace(hour=10))
    reason, training = require_training(loop)
    wait_until(lambda: loop.aliases().get("2") == ["challenger"], what="the challenger in the service")
    require_shadow(loop)

    with Hammer(loop.service, threads=1, pause_seconds=0.5) as hammer:
        loop.next_day(JUDGED, ingestion=CLOCK.replace(hour=15), evaluation=CLOCK.replace(hour=20))
        loop.daemon.until(lambda: loop.registry.champion("ALL").source_version == "2", "new champion")
        wait_until(lambda: hammer.newest_are("2", newest=5), what="the swap")
    assert hammer.failures == [], "no request fails while the version changes"
    assert {reply["model"]["version"] for reply in hammer.replies} == {"1", "2"}
    reply = loop.service.predict()
    assert reply["model"]["verdict"] == "passed" and interval_of(reply) > 1.5 * narrow
    require_verdict(loop)
    require_lineage(loop, reply["prediction_id"], training, reason)
    loop.daemon.until_idle()
    require_no_hand(loop)


def interval_of(reply: dict) -> float:
    """How wide the reply's interval is."""
    return reply["interval"][1] - reply["interval"][0]


def require_training(loop: Loop) -> tuple[str, dg.DagsterRun]:
    """The drift report's finding, and the training that it led to: its reason and its run."""
    loop.daemon.until(lambda: RETRAIN in loop.told("drift_report"), "drift report that finds the change")
    reason = str(loop.told("drift_report")[RETRAIN])
    assert "intervals: " in reason and "90% were promised" in reason
    loop.daemon.until(lambda: loop.told("challenger_model").get("appointed") == "yes", "challenger")
    [training] = loop.daemon.instance.get_runs(dg.RunsFilter(tags={REASON_TAG: reason}))
    assert training.tags["dagster/sensor_name"] == "drift_sensor"
    assert training.tags["dagster/partition"] == model_key("ALL", FOUND)
    challenger, champion = loop.registry.challenger("ALL"), loop.registry.champion("ALL")
    assert (challenger.source_version, challenger.cutoff, champion.source_version) == ("2", FOUND, "1")
    assert challenger.verdict == "unproven" and "not judged yet" in challenger.reasons[0]
    assert loop.told("challenger_model")["source"] == "cryptobot-ALL-ridge version 2"
    return reason, training


def require_shadow(loop: Loop) -> None:
    """What the champion answers, the challenger scores too, and both are recorded."""
    reply = loop.service.predict()
    assert reply["model"]["version"] == "1"
    store, spool = open_store(loop.settings), loop.settings.home / FOLDER

    def both() -> bool:
        rows = find_served(store, spool, reply["prediction_id"])
        return dict(rows.select("role", "version").iter_rows()) == {"champion": "1", "shadow": "2"}

    wait_until(both, what="the record of the champion's answer and of its shadow")


def require_verdict(loop: Loop) -> None:
    """The gate's verdict, in Dagster and in the registry, after the version had waited as challenger."""
    told = loop.told("champion_model")
    assert (told["verdict"], told["source"]) == ("passed", "cryptobot-ALL-ridge version 2")
    promotions = loop.registry.champion("ALL").promotions
    assert [(one["alias"], one["verdict"]) for one in promotions] == [
        ("challenger", "unproven"), ("challenger", "passed"), ("champion", "passed"),
    ]  # fmt: skip
    assert "below" in promotions[-1]["reasons"][0]
    assert "champion is now cryptobot-ALL-ridge version 2" in loop.service.log.read_text()


def require_lineage(loop: Loop, prediction_id: str, training: dg.DagsterRun, reason: str) -> None:
    """One answer leads from the served number to the run that drift asked for."""
    steps = json.loads(run(loop.settings.home, "lineage", prediction_id, "--json"))
    model = steps["model_version"]
    assert (model["registered"], model["dagster_run"]) == ("models:/cryptobot-ALL-ridge/2", training.run_id)
    assert (model["asked_for_by"], model["because"]) == ("drift_sensor", reason)
    assert training.run_id in steps["training_set"]["dagster_runs"]
    assert steps["klines"]["sources"] == {"rest": steps["klines"]["rows"]}


def require_no_hand(loop: Loop) -> None:
    """Every run since the daemon began was asked for by a schedule or a sensor, and ended well."""
    runs = [one for one in loop.daemon.instance.get_runs() if PROCESS_TAG not in one.tags]
    asked = {one.tags.get("dagster/schedule_name") or one.tags.get("dagster/sensor_name") for one in runs}
    assert asked - {"new_listings_sensor"} == {
        "ingestion_schedule", "indicators_sensor", "predictions_sensor", "evaluation_schedule", "drift_sensor",
    }  # fmt: skip
    unwell = {one.run_id for one in runs if one.status != dg.DagsterRunStatus.SUCCESS}
    assert unwell == set(), [loop.daemon.told_of(one) for one in unwell]
