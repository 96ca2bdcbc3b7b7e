"""Every route and every refusal, over a real socket, with fakes behind the routes."""

from __future__ import annotations

import http.client
import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import httpx
import pytest

from cryptobot_assets.errors import StoreError
from cryptobot_assets.serving import door
from cryptobot_assets.serving.app import ROUTES, make_app
from cryptobot_assets.serving.desk import Desk
from cryptobot_assets.serving.keys import KeyRing
from cryptobot_assets_tests.monitoring import expositions
from cryptobot_assets_tests.serving.fakes import FEATURES, NOW, FakeFeatures, FakeShelf, make_served, make_version
from cryptobot_assets_tests.serving.sockets import over_a_socket

ROW = dict.fromkeys(FEATURES, 0.5)
RIDGE, LASSO = make_served(), make_served(make_version("lasso", "3"), verdict="unproven")


@contextmanager
def serving(**parts: Any) -> Iterator[httpx.Client]:
    known = {"shelf": FakeShelf(RIDGE, lasso=LASSO), "source": FakeFeatures(), "market": "ALL", "now": lambda: NOW}
    with over_a_socket(make_app(lambda: Desk(**(known | parts)))) as client:
        yield client


@pytest.fixture(scope="module")
def client() -> Iterator[httpx.Client]:
    with serving() as client:
        yield client


def error_of(reply: Any, status: int) -> dict[str, Any]:
    assert reply.status_code == status, reply.text
    assert reply.json().keys() == {"error"}
    error = reply.json()["error"]
    assert error.keys() == {"code", "message", "field"}
    assert error["message"]
    return error


def test_predict_answers_with_the_newest_row(client: httpx.Client) -> None:
    reply = client.post("/predict", json={"currency": "BTCUSDT"})
    assert reply.status_code == 200
    body = reply.json()
    assert body["predicted_return"] == pytest.approx(0.01)
    assert body["interval"] == pytest.approx([-0.03, 0.06])
    assert body["age_seconds"] == 3600
    assert body.keys() >= {"prediction_id"} and len(body.pop("prediction_id")) == 32
    assert body | {"predicted_return": 0, "interval": []} == {
        "currency": "BTCUSDT",
        "time": "2024-05-13T23:00:00Z",
        "known_at": "2024-05-14T00:00:00Z",
        "predicted_return": 0,
        "direction": "up",
        "interval": [],
        "model": RIDGE.block,
        "age_seconds": 3600.0,
    }


def test_predict_takes_a_time_with_any_zone(client: httpx.Client) -> None:
    for time in ("2024-05-13T23:00:00Z", "2024-05-14T01:00:00+02:00", "2024-05-13T23:00Z", None):
        assert client.post("/predict", json={"currency": "XRPUSDT", "time": time}).json()["direction"] == "down"


@pytest.mark.parametrize(
    ("time", "code"),
    [
        ("2024-05-13T23:00:00", "naive_time"),
        ("yesterday", "bad_time"),
        ("", "bad_time"),
        ("2024-02-30T00:00:00Z", "bad_time"),
        ("0001-01-01T00:00:00+23:59", "bad_time"),
        (1715641200, "wrong_type"),
        (True, "wrong_type"),
        ("2023-05-13T23:00:00Z", "no_such_row"),
    ],
)
def test_a_wrong_time_is_named(client: httpx.Client, time: Any, code: str) -> None:
    error = error_of(client.post("/predict", json={"currency": "BTCUSDT", "time": time}), 400)
    assert (error["code"], error["field"]) == (code, "time")


@pytest.mark.parametrize(
    ("body", "code", "field"),
    [
        (b"", "malformed_json", None),
        (b"{", "malformed_json", None),
        (b"\xff\xfe", "malformed_json", None),
        (b'{"currency": "\\ud800"}', "malformed_json", None),
        (b"[" * 100_000, "malformed_json", None),
        (b'{"a":' * 5_000 + b"1" + b"}" * 5_000, "malformed_json", None),
        (b"[]", "not_an_object", None),
        (b"null", "not_an_object", None),
        (b'"BTCUSDT"', "not_an_object", None),
        (b"{}", "missing_field", "currency"),
        (b'{"currency": null}', "wrong_type", "currency"),
        (b'{"currency": 7}', "wrong_type", "currency"),
        (b'{"currency": ["BTCUSDT"]}', "wrong_type", "currency"),
        (b'{"currency": ""}', "unknown_currency", "currency"),
        (b'{"currency": "BTCUSDT", "colour": 1}', "unknown_field", "colour"),
        (b'{"currency": NaN}', "non_finite", None),
    ],
)
def test_a_wrong_predict_body_is_named(client: httpx.Client, body: bytes, code: str, field: str | None) -> None:
    error = error_of(client.post("/predict", content=body), 400)
    assert (error["code"], error["field"]) == (code, field)


def test_an_unknown_currency_lists_close_matches(client: httpx.Client) -> None:
    error = error_of(client.post("/predict", json={"currency": "BTCUSD"}), 400)
    assert (error["code"], error["field"]) == ("unknown_currency", "currency")
    assert "BTCUSDT" in error["message"]


def test_a_huge_currency_is_refused_without_repeating_it(client: httpx.Client) -> None:
    error = error_of(client.post("/predict", json={"currency": "B" * 1_000_000}), 400)
    assert error["code"] == "unknown_currency"
    assert len(error["message"]) < 200


def test_a_market_of_one_currency_answers_for_it_alone() -> None:
    with serving(market="BTCUSDT") as client:
        assert client.post("/predict", json={"currency": "BTCUSDT"}).status_code == 200
        error = error_of(client.post("/predict", json={"currency": "ETHUSDT"}), 400)
        assert "ETHUSDT" in error["message"]
        ranked = client.post("/rank", json={}).json()["currencies"]
        assert [item["currency"] for item in ranked] == ["BTCUSDT"]


def test_predict_features_keeps_the_order_of_rows_and_not_of_keys(client: httpx.Client) -> None:
    rows = [dict.fromkeys(reversed(FEATURES), 1.0), ROW, dict.fromkeys(FEATURES, 2)]
    body = client.post("/predict_features", json={"rows": rows}).json()
    assert body["predicted_return"] == pytest.approx([0.03, 0.015, 0.06])
    assert body["model"] == RIDGE.block


def test_predict_features_takes_ten_thousand_rows_and_no_more(client: httpx.Client) -> None:
    assert len(client.post("/predict_features", json={"rows": [ROW] * 10_000}).json()["predicted_return"]) == 10_000
    assert error_of(client.post("/predict_features", json={"rows": [ROW] * 10_001}), 400)["field"] == "rows"


@pytest.mark.parametrize(
    ("rows", "code", "field"),
    [
        ([], "wrong_count", "rows"),
        ({}, "wrong_type", "rows"),
        (None, "wrong_type", "rows"),
        ([[1, 2, 3]], "wrong_type", "rows[0]"),
        ([ROW, None], "wrong_type", "rows[1]"),
        ([ROW, {}], "missing_features", "rows[1].close_lag_1h"),
        ([{"ma7_25h_scale": 1, "close_lag_1h": 1}], "missing_features", "rows[0].close_minmax_scale"),
        ([ROW | {"close": 1.0}], "extra_features", "rows[0].close"),
        ([ROW | {"close_lag_1h": True}], "wrong_type", "rows[0].close_lag_1h"),
        ([ROW | {"close_lag_1h": None}], "wrong_type", "rows[0].close_lag_1h"),
        ([ROW | {"close_lag_1h": "1"}], "wrong_type", "rows[0].close_lag_1h"),
        ([ROW | {"close_lag_1h": [1]}], "wrong_type", "rows[0].close_lag_1h"),
        ([ROW, ROW | {"close_lag_1h": 10**400}], "non_finite", "rows[1].close_lag_1h"),
        ([ROW | {"close_lag_1h": 1e300}], "non_finite", "rows[0].close_lag_1h"),
    ],
)
def test_wrong_rows_are_named(client: httpx.Client, rows: Any, code: str, field: str) -> None:
    error = error_of(client.post("/predict_features", json={"rows": rows}), 400)
    assert (error["code"], error["field"]) == (code, field)
    assert field in error["message"] or field.split(".")[-1] in error["message"]


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999", "-1e999"])
def test_numbers_that_are_not_finite_are_refused(client: httpx.Client, number: str) -> None:
    body = json.dumps({"rows": [ROW]}).replace("0.5", number, 1)
    assert error_of(client.post("/predict_features", content=body), 400)["code"] == "non_finite"


def test_an_algorithm_answers_either_body(client: httpx.Client) -> None:
    by_currency = client.post("/predict_lasso", json={"currency": "ETHUSDT"}).json()
    assert by_currency["model"] == LASSO.block
    assert by_currency["predicted_return"] == pytest.approx(0.024)
    by_rows = client.post("/predict_lasso", json={"rows": [ROW]}).json()
    assert len(by_rows.pop("prediction_id")) == 32
    assert by_rows == {"predicted_return": [pytest.approx(0.015)], "model": LASSO.block}
    assert error_of(client.post("/predict_lasso", json={}), 400)["field"] == "currency"
    assert error_of(client.post("/predict_lasso", json={"row": 1}), 400)["field"] == "row"
    both = {"rows": [ROW], "currency": "ETHUSDT"}
    assert error_of(client.post("/predict_lasso", json=both), 400)["field"] == "currency"


def test_an_algorithm_without_a_model_is_503_and_an_unknown_one_404(client: httpx.Client) -> None:
    assert error_of(client.post("/predict_huber", json={"rows": [ROW]}), 503)["code"] == "no_model"
    assert error_of(client.post("/predict_oracle", json={"rows": [ROW]}), 404)["code"] == "not_found"


def test_rank_orders_currencies_by_predicted_return(client: httpx.Client) -> None:
    body = client.post("/rank", json={}).json()
    assert [item["currency"] for item in body["currencies"]] == ["ETHUSDT", "BTCUSDT", "XRPUSDT"]
    assert body["time"] == "2024-05-13T23:00:00Z"
    assert body["model"] == RIDGE.block
    top = client.post("/rank", json={"top": 1}).json()["currencies"]
    assert top == body["currencies"][:1]
    assert len(client.post("/rank", json={"top": 10**9}).json()["currencies"]) == 3


@pytest.mark.parametrize("body", ['{"top": 0}', '{"top": -1}', '{"top": 1.5}', '{"top": true}', '{"top": null}'])
def test_a_wrong_top_is_named(client: httpx.Client, body: str) -> None:
    assert error_of(client.post("/rank", content=body), 400)["field"] == "top"


def test_rank_refuses_unknown_fields(client: httpx.Client) -> None:
    assert error_of(client.post("/rank", json={"bottom": 1}), 400)["field"] == "bottom"


def test_without_a_champion_predictions_are_503_and_the_service_lives() -> None:
    with serving(shelf=FakeShelf()) as client:
        for path, body in {
            "/predict": {"currency": "BTCUSDT"},
            "/predict_features": {"rows": [ROW]},
            "/predict_ridge": {"currency": "BTCUSDT"},
            "/rank": {},
        }.items():
            assert error_of(client.post(path, json=body), 503)["code"] == "no_model"
        assert error_of(client.get("/readyz"), 503)["code"] == "no_model"
        assert client.get("/livez").status_code == 200
        assert client.get("/models").status_code == 200
        assert "cryptobot_champion_loaded 0.0" in client.get("/metrics").text


def test_bad_input_is_400_even_without_a_champion() -> None:
    with serving(shelf=FakeShelf()) as client:
        error_of(client.post("/predict", content=b"{"), 400)


def test_ready_with_a_champion(client: httpx.Client) -> None:
    assert client.get("/readyz").status_code == 200
    assert "POST /predict" in client.get("/").json()["routes"]


@pytest.mark.parametrize("path", ["/nothing", "/predict/", "/livez/x", "/healthz", "/schema.json", "/%00", "/predict_"])
def test_unknown_paths_are_404(client: httpx.Client, path: str) -> None:
    assert error_of(client.post(path, json={}), 404)["code"] == "not_found"


@pytest.mark.parametrize(("path", "method"), [(path, method) for path, method in ROUTES.items()])
def test_other_methods_are_405(client: httpx.Client, path: str, method: str) -> None:
    reply = client.request("DELETE", path)
    assert error_of(reply, 405)["code"] == "method_not_allowed"
    assert method in reply.headers["allow"]


KEY = "a key of ünusual length"


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"X-API-Key": "wrong"},
        {"X-API-Key": ""},
        {"Authorization": "Bearer wrong"},
        {"Authorization": KEY.encode()},
        {"Authorization": b"Basic " + KEY.encode()},
    ],
)
def test_a_demanded_key_is_demanded(headers: dict[str, Any]) -> None:
    with serving(keys=KeyRing(KEY)) as client:
        for path, method in ROUTES.items():
            reply = client.request(method, path, headers=headers)
            if path in ("/livez", "/readyz"):
                assert reply.status_code == 200
            else:
                assert error_of(reply, 401)["code"] == "unauthorized"
        error_of(client.get("/nothing", headers=headers), 401)


@pytest.mark.parametrize(
    "headers",
    [
        {"X-API-Key": KEY.encode()},
        {"Authorization": b"Bearer " + KEY.encode()},
        {"Authorization": b"bearer " + KEY.encode()},
    ],
)
def test_the_right_key_opens(headers: dict[str, Any]) -> None:
    with serving(keys=KeyRing(KEY)) as client:
        assert client.post("/predict", json={"currency": "BTCUSDT"}, headers=headers).status_code == 200


def pieces(size: int) -> Iterator[bytes]:
    for _ in range(size // 1_000_000 + 1):
        yield b" " * 1_000_000


@pytest.mark.parametrize("path", ["/predict", "/predict_features", "/predict_ridge", "/rank"])
def test_a_body_over_the_limit_is_413(client: httpx.Client, path: str) -> None:
    assert error_of(client.post(path, content=b" " * (door.LARGEST_BODY + 1)), 413)["code"] == "too_large"
    assert error_of(client.post(path, content=pieces(door.LARGEST_BODY)), 413)["code"] == "too_large"


def test_a_caller_who_waits_for_leave_is_refused_before_sending(client: httpx.Client) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", client.base_url.port, timeout=10)
    connection.putrequest("POST", "/predict")
    connection.putheader("Expect", "100-continue")
    connection.putheader("Content-Length", str(door.LARGEST_BODY + 1))
    connection.endheaders()
    reply = connection.getresponse()
    assert (reply.status, json.load(reply)["error"]["code"]) == (413, "too_large")
    connection.close()


def test_a_compressed_body_is_refused(client: httpx.Client) -> None:
    reply = client.post("/predict", content=b"\x1f\x8b", headers={"Content-Encoding": "gzip"})
    assert error_of(reply, 400)["code"] == "unsupported_encoding"


@pytest.mark.parametrize("kind", ["application/json", "text/plain", "application/x-www-form-urlencoded", ""])
def test_json_is_read_whatever_it_is_called(client: httpx.Client, kind: str) -> None:
    reply = client.post("/predict", content=b'{"currency": "BTCUSDT"}', headers={"Content-Type": kind})
    assert reply.status_code == 200


def test_a_store_that_does_not_answer_is_503_without_its_address() -> None:
    with serving(source=FakeFeatures(failure=StoreError("cannot read the store at /secret/path"))) as client:
        for path, body in {"/predict": {"currency": "BTCUSDT"}, "/rank": {}}.items():
            reply = client.post(path, json=body)
            assert error_of(reply, 503)["code"] == "store_unavailable"
            assert "secret" not in reply.text


def test_a_fault_of_ours_shows_nothing_of_the_inside() -> None:
    with serving(source=FakeFeatures(failure=RuntimeError("in /secret/path"))) as client:
        reply = client.post("/predict", json={"currency": "BTCUSDT"})
        assert error_of(reply, 500)["code"] == "internal"
        assert "secret" not in reply.text and "Traceback" not in reply.text
        assert client.get("/livez").status_code == 200


def test_metrics_count_by_route_and_never_by_path() -> None:
    with serving() as client:
        before = series(client)
        for number in range(200):
            client.post(f"/random/{number}", json={})
            client.post(f"/predict_{number}", json={})
        client.post("/predict", json={"currency": "BTCUSDT"})
        client.post("/predict_features", json={"rows": [ROW] * 5})
        after = series(client)
    routes = {match for name in after for match in re.findall(r'route="([^"]*)"', name)}
    assert routes == {"/predict", "/predict_features", "/metrics", "other"}
    assert len(after) - len(before) < 100
    assert after['cryptobot_requests_total{route="other",status="404"}'] == 400
    assert after['cryptobot_requests_total{route="/predict",status="200"}'] == 1
    assert after['cryptobot_predictions_total{route="/predict_features"}'] == 5
    assert after['cryptobot_request_seconds_count{route="/predict"}'] == 1


def series(client: httpx.Client) -> dict[str, float]:
    return expositions.series(client.get("/metrics").text)


def test_metrics_tell_how_old_the_features_of_replies_were() -> None:
    with serving() as client:
        assert client.post("/predict", json={"currency": "BTCUSDT"}).status_code == 200
        assert client.post("/rank", json={}).status_code == 200
        after = series(client)
    assert after['cryptobot_features_age_seconds_bucket{le="900.0"}'] == 0
    assert after['cryptobot_features_age_seconds_bucket{le="3600.0"}'] == 2
    assert after["cryptobot_requests_in_flight"] == 1, "the request for the metrics itself"


def test_the_age_follows_the_clock() -> None:
    clock: list[Callable[[], Any]] = [lambda: NOW]
    with serving(now=lambda: clock[0]()) as client:
        first = client.post("/predict", json={"currency": "BTCUSDT"}).json()["age_seconds"]
        clock[0] = lambda: NOW + timedelta(seconds=30)
        assert client.post("/predict", json={"currency": "BTCUSDT"}).json()["age_seconds"] == first + 30


def test_features_that_are_too_old_are_503_with_the_reason() -> None:
    with serving(stalest_seconds=3599.0) as client:
        newest = {"currency": "BTCUSDT"}
        for path, body in (("/predict", newest), ("/predict_lasso", newest), ("/rank", {})):
            error = error_of(client.post(path, json=body), 503)
            assert error["code"] == "stale_features"
            assert "known at 2024-05-14T00:00:00Z" in error["message"]
        asked = {"currency": "BTCUSDT", "time": "2024-05-13T23:00:00Z"}
        assert client.post("/predict", json=asked).status_code == 200, "a row asked for by its time may be old"
    with serving(stalest_seconds=3601.0) as client:
        assert client.post("/rank", json={}).status_code == 200


def test_a_fault_of_the_registry_is_a_metric() -> None:
    shelf = FakeShelf(RIDGE)
    with serving(shelf=shelf) as client:
        assert series(client)["cryptobot_registry_faulty"] == 0
        shelf.complaint = "the registry does not answer"
        assert series(client)["cryptobot_registry_faulty"] == 1
