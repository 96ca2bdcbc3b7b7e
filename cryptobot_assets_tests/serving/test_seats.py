"""Champion, challenger and shadow: who answers, who is recorded, and that a shadow costs nobody anything."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import pytest

from cryptobot_assets.models.loading import Scorer
from cryptobot_assets.serving.app import make_app
from cryptobot_assets.serving.desk import Desk
from cryptobot_assets.serving.metrics import Metrics
from cryptobot_assets.serving.shadow import ShadowThread, ShadowWork
from cryptobot_assets.serving.shelf import LoadedModel, ServedModel
from cryptobot_assets.storage.served_spool import Served
from cryptobot_assets_tests.serving.fakes import (
    FEATURES,
    NEWEST,
    NOW,
    FakeFeatures,
    FakeShelf,
    make_card,
    make_served,
    make_version,
)
from cryptobot_assets_tests.serving.sockets import over_a_socket

ROW = dict.fromkeys(FEATURES, 0.5)
RIDGE, LASSO = make_served(), make_served(make_version("lasso", "3"), verdict="unproven")
REQUESTS = (
    ("/predict", {"currency": "BTCUSDT"}),
    ("/predict", {"currency": "XRPUSDT"}),
    ("/predict_features", {"rows": [ROW, ROW]}),
    ("/predict_features", {"rows": [ROW]}),
    ("/rank", {"top": 1}),
)


class Kept(list[Served]):
    """A log that keeps what it is given."""

    record = list.append


class AtOnce:
    """A shadow that scores when it is asked."""

    def take(self, work: ShadowWork) -> None:
        work.run()


@contextmanager
def serving(**parts: Any) -> Iterator[tuple[httpx.Client, Kept]]:
    log = Kept()
    known = {"shelf": FakeShelf(RIDGE, LASSO, huber=LASSO), "source": FakeFeatures(), "market": "ALL",
             "now": lambda: NOW, "log": log, "shadow": AtOnce()}  # fmt: skip
    with over_a_socket(make_app(lambda: Desk(**(known | parts)))) as client:
        yield client, log


def told(reply: Served) -> tuple[str, str, str, int, list[str]]:
    return reply.role, reply.algorithm, reply.route, reply.rows, [entry.currency for entry in reply.entries]


def test_every_reply_is_recorded_under_its_id_and_so_is_its_shadow() -> None:
    with serving() as (client, log):
        ids = [client.post(route, json=body).json()["prediction_id"] for route, body in REQUESTS]
    assert len(set(ids)) == len(ids)
    assert [reply.prediction_id for reply in log] == [one for one in ids for _ in range(2)]
    ranked = ["ETHUSDT", "BTCUSDT", "XRPUSDT"]
    assert [told(reply) for reply in log[::2]] == [
        ("champion", "ridge", "/predict", 1, ["BTCUSDT"]),
        ("champion", "ridge", "/predict", 1, ["XRPUSDT"]),
        ("champion", "ridge", "/predict_features", 2, []),
        ("champion", "ridge", "/predict_features", 1, [""]),
        ("champion", "ridge", "/rank", 1, ranked),
    ]
    assert {(reply.role, reply.algorithm, reply.version, reply.verdict) for reply in log[1::2]} == {
        ("shadow", "lasso", "3", "unproven")
    }
    first = log[0]
    assert (first.time, first.served_at, first.registered_name) == (NEWEST, NOW, "cryptobot-ALL-ridge")
    assert first.entries[0].predicted_return == pytest.approx(0.01)
    assert (first.entries[0].interval_low, first.entries[0].interval_high) == pytest.approx((-0.03, 0.06))


def test_a_refused_request_is_not_recorded() -> None:
    with serving() as (client, log):
        assert client.post("/predict", json={"currency": "NONE"}).status_code == 400
    assert log == []


def test_the_challenger_answers_its_share_and_the_champion_is_then_the_shadow() -> None:
    draws = iter([0.1, 0.29, 0.3, 0.9])
    with serving(challenger_share=0.3, draw=lambda: next(draws)) as (client, log):
        answered = [client.post("/predict", json={"currency": "BTCUSDT"}).json()["model"] for _ in range(4)]
    assert [model["algorithm"] for model in answered] == ["lasso", "lasso", "ridge", "ridge"]
    assert [(reply.role, reply.algorithm) for reply in log] == [
        *[("challenger", "lasso"), ("shadow", "ridge")] * 2,
        *[("champion", "ridge"), ("shadow", "lasso")] * 2,
    ]


def test_a_named_algorithm_has_no_shadow() -> None:
    with serving(challenger_share=1.0) as (client, log):
        client.post("/predict_huber", json={"rows": [ROW]})
    assert [(reply.role, reply.algorithm) for reply in log] == [("named", "lasso")]


def test_rows_for_the_champion_are_not_given_to_a_challenger_of_other_features() -> None:
    version = make_version("lasso", "4")
    scorer = Scorer(make_card(version, features=FEATURES[:2]), lambda rows: rows.sum(axis=1))
    other = ServedModel(LoadedModel(version, scorer, NOW), LASSO.block)
    with serving(challenger_share=1.0, shelf=FakeShelf(RIDGE, other)) as (client, log):
        assert client.post("/predict_features", json={"rows": [ROW]}).status_code == 200
    assert [(reply.role, reply.algorithm) for reply in log] == [("champion", "ridge")]


def test_without_a_challenger_the_champion_answers_all() -> None:
    with serving(challenger_share=1.0, shelf=FakeShelf(RIDGE)) as (client, log):
        client.post("/rank", json={})
    assert [reply.role for reply in log] == ["champion"]


def shadows(metrics: Metrics) -> dict[str, float]:
    lines = metrics.exposition().body.decode().splitlines()
    found = [line.split('outcome="')[1].split('"} ') for line in lines if line.startswith("cryptobot_shadow_total{")]
    return {outcome: float(count) for outcome, count in found}


def test_a_shadow_that_is_slow_or_fails_holds_nobody_up() -> None:
    metrics, go = Metrics(), threading.Event()
    shadow = ShadowThread(metrics, most_waiting=3, most_rows=100)
    shadow.start()

    def fail() -> bool:
        raise ValueError("no such feature")

    begun = threading.Event()
    shadow.take(ShadowWork(lambda: begun.set() or go.wait(10)))
    assert begun.wait(10)
    for work in (ShadowWork(fail), ShadowWork(lambda: True, rows=200), ShadowWork(lambda: False)):
        shadow.take(work)
    for _ in range(5):
        shadow.take(ShadowWork(lambda: True))
    go.set()
    shadow.stop()
    assert shadows(metrics) == {"scored": 2, "failed": 1, "skipped": 1, "dropped": 5}
