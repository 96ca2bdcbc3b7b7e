"""The doors to the outside, opened as a run opens them."""

from __future__ import annotations

from pathlib import Path

import dagster as dg
import pytest

from cryptobot_assets.exchange.simulation import simulate
from cryptobot_assets.resources import HistoryResource
from cryptobot_assets.storage.weight import Budget
from cryptobot_assets_tests.conftest import MakeExchange
from cryptobot_assets_tests.storage.s3_server import s3_environment


@pytest.mark.parametrize("store", ["", "s3://bucket/lake", "postgresql://127.0.0.1:9/nothing"])
def test_a_run_reads_with_the_budget_of_this_machine(
    make_exchange: MakeExchange, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, store: str
) -> None:
    """Whatever holds the rows, and though it be away."""
    monkeypatch.setenv("CRYPTOBOT_STORE_URL", store)
    for name, value in s3_environment("http://127.0.0.1:9").items():
        monkeypatch.setenv(name, value)
    url = make_exchange(simulate(7, 1, days=1, interval="1h"))
    resource = HistoryResource(exchange_url=url, archive_url=None, home=str(tmp_path))
    history = resource.create_resource(dg.build_init_resource_context())
    assert history.exchange.server_time()
    assert sum(weight for _, weight in Budget(url).account().sent) == 1
