"""Whatever is sent, the service stays up and says what is wrong; its OpenAPI document tells the truth."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator
from typing import TYPE_CHECKING

import httpx
import pytest
from hypothesis import HealthCheck, given, settings

from cryptobot_assets.serving.app import ROUTES, make_app
from cryptobot_assets.serving.cache import ModelCache
from cryptobot_assets.serving.catalogue import Catalogue
from cryptobot_assets.serving.desk import Desk
from cryptobot_assets_tests.serving.bad_bodies import bad_bodies
from cryptobot_assets_tests.serving.fakes import FEATURES, NOW, FakeFeatures, FakeModels, load_fake, make_version
from cryptobot_assets_tests.serving.sockets import over_a_socket

if TYPE_CHECKING:  # its import takes seconds, which only the worker of this file need spend
    import schemathesis

BODIES = 2_000
EXAMPLES = 8


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    models = FakeModels()
    models.appoint(make_version(version="1"))
    models.add(make_version("lasso", "5"))
    cache = ModelCache(tmp_path_factory.mktemp("cache"))
    catalogue = Catalogue(lambda: models, cache, market="ALL", load=load_fake)
    catalogue.poll()
    desk = Desk(shelf=catalogue, source=FakeFeatures(), market="ALL", now=lambda: NOW)
    with over_a_socket(make_app(lambda: desk)) as client:
        yield client


def test_bad_bodies_are_refused_one_by_one_and_break_nothing(client: httpx.Client) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", client.base_url.port, timeout=30)
    statuses: dict[int, int] = {}
    for route, body in bad_bodies(BODIES, list(FEATURES)):
        connection.request("POST", route, body)
        reply = connection.getresponse()
        content = reply.read()
        assert reply.status in (200, 400), (route, body[:200], content)
        assert reply.status == 200 or json.loads(content)["error"]["message"], (route, body[:200])
        assert b"Traceback" not in content and b"cryptobot_assets/" not in content
        statuses[reply.status] = statuses.get(reply.status, 0) + 1
    connection.close()
    assert statuses[400] > 0.9 * BODIES
    assert client.get("/readyz").status_code == 200


def test_the_document_describes_every_route_and_no_other(client: httpx.Client) -> None:
    paths = client.get("/openapi.json").json()["paths"]
    assert {path: next(iter(methods)).upper() for path, methods in paths.items()} == ROUTES


@pytest.fixture(scope="module")
def api(client: httpx.Client) -> schemathesis.BaseSchema:
    import schemathesis

    return schemathesis.openapi.from_url(f"{client.base_url}/openapi.json")


KEPT, BROKEN = "positive", "negative"
POSTS = ("/predict", "/predict_features", "/predict_lasso", "/rank")
"""The routes left out differ from `/predict_lasso` in their name alone."""
DESCRIBED = [(path, "GET", KEPT) for path, method in ROUTES.items() if method == "GET"]
DESCRIBED += [(path, "POST", mode) for path in POSTS for mode in (KEPT, BROKEN)]


@pytest.mark.parametrize(("path", "method", "mode"), DESCRIBED)
def test_replies_are_what_the_document_says(api: schemathesis.BaseSchema, path: str, method: str, mode: str) -> None:
    """Requests that keep the document and requests that break it; a currency nobody knows keeps it, and is refused."""
    from schemathesis.checks import CHECKS
    from schemathesis.generation import GenerationMode

    @given(case=api[path][method].as_strategy(generation_mode=GenerationMode(mode)))
    @settings(max_examples=EXAMPLES, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
    def check(case: schemathesis.Case) -> None:
        case.call_and_validate(excluded_checks=CHECKS.get_by_names(["positive_data_acceptance"]))

    check()
