"""Parts that other packages bring: found by name, imported late, checked, and refused with a reason."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from cryptobot_assets.assets.look_ahead import find_later_knowledge
from cryptobot_assets.audit.pipeline import make_market, own_rows
from cryptobot_assets.cli.plugins import catalogues
from cryptobot_assets.contracts.factories import START, make_closes, make_klines
from cryptobot_assets.contracts.features import FeatureContract
from cryptobot_assets.contracts.rules import RuleContract
from cryptobot_assets.domain.allocation import AllocationRule
from cryptobot_assets.domain.indicators import indicator_frame
from cryptobot_assets.domain.intervals import DAY
from cryptobot_assets.errors import BadPlugin, UsageError
from cryptobot_assets.models.algorithms import ALGORITHMS, DEFAULT_ALGORITHMS, features_of, library_of
from cryptobot_assets.plugged import FEATURES, RULES
from cryptobot_assets.settings import Settings
from cryptobot_assets.storage.exchange import Exchange
from cryptobot_assets.storage.exchange_client import EXCHANGES, exchange_at
from cryptobot_assets.storage.lake import Lake
from cryptobot_assets.storage.samples import SampleReader
from cryptobot_assets.storage.store import INDICATORS, KLINES, STORES, open_store_at
from cryptobot_assets_tests.cli.conftest import Run, home, run
from cryptobot_assets_tests.outside import installed

__all__ = ["home", "run"]

ALGORITHM = """
from cryptobot_assets.models.base import Range
class Middle:
    name = "middle"
    features = ("rsi_14h", "close_lag_24h")
    space = {"penalty": Range(0.1, 1.0, default=0.5)}
    def fit(self, X, y, *, params, seed, weight=None, threads=1, time=None): ...
MIDDLE = Middle()
"""
RULE = """
from cryptobot_assets.domain.allocation import AllocationRule, top
TWO = AllocationRule("two", "the best two, whatever {k} says", lambda k, cost: top(2))
"""
FEATURE = """
from datetime import timedelta
from cryptobot_assets.domain.features import DerivedFeature
DOUBLE = DerivedFeature("double", timedelta(hours=1), lambda closes: closes * 2)
"""
STORE = """
def open_here(address): return address
"""
EXCHANGE = """
from cryptobot_assets.storage.exchange_client import ExchangeClient
class Half(ExchangeClient):
    def server_time(self): ...
    def symbols(self): ...
"""


class TestEveryRule(RuleContract):
    @pytest.fixture(params=RULES)
    def rule(self, request: pytest.FixtureRequest) -> AllocationRule:
        return RULES[request.param]


class TestFeaturesOfEveryKind(FeatureContract):
    @pytest.fixture(params=["close_lag_25h", "rsi_14h", "ma7_25h_scale"])
    def feature(self, request: pytest.FixtureRequest) -> str:
        return request.param


@contextmanager
def bringing(folder: Path, group: str, line: str, code: str, **package: str) -> Iterator[None]:
    """A package of one module, `brought`, with one entry point."""
    with installed(folder, {"brought.py": code}, f"[cryptobot_assets.{group}]\n{line}\n", **package):
        yield


def test_a_part_is_imported_when_it_is_asked_for(tmp_path: Path):
    with bringing(tmp_path, "algorithms", "middle = brought:MIDDLE", ALGORITHM):
        assert list(ALGORITHMS)[-1] == "middle" and "middle" in ALGORITHMS
        origin = ALGORITHMS.origin("middle")
        assert (str(origin), origin.place, origin.is_ours) == ("rebound 0.3", "brought:MIDDLE", False)
        assert library_of("middle") == "rebound"
        assert "brought" not in sys.modules
        assert ALGORITHMS["middle"].space["penalty"].default == 0.5
        assert features_of("middle") == ("rsi_14h", "close_lag_24h")
        assert "middle" not in DEFAULT_ALGORITHMS
    assert "middle" not in ALGORITHMS and "brought" not in sys.modules


def test_ours_stand_first_and_need_nothing_of_others(tmp_path: Path):
    with bringing(tmp_path, "allocation_rules", "keep = brought:TWO", RULE):
        assert RULES["keep"].title == "keep {k} while in the better half"
        assert Settings.load(home=tmp_path, paper_rule="keep").paper_rule == "keep"
        with pytest.raises(BadPlugin, match="has taken that name"):
            list(RULES)


def test_the_paper_bot_may_follow_a_rule_that_is_brought(tmp_path: Path):
    with pytest.raises(UsageError, match="CRYPTOBOT_PAPER_RULE: no allocation rule 'two'; choose from best, top"):
        Settings.load(home=tmp_path, paper_rule="two")
    with bringing(tmp_path, "allocation_rules", "two = brought:TWO", RULE):
        assert Settings.load(home=tmp_path, paper_rule="two").paper_rule == "two"
        assert RULES["two"].title.format(k=9) == "the best two, whatever 9 says"


@pytest.mark.parametrize(
    ("group", "line", "code", "wrong"),
    [
        ("algorithms", "ridge = brought:MIDDLE", ALGORITHM, "the platform has taken that name"),
        ("algorithms", "features = brought:MIDDLE", ALGORITHM, "the platform has taken that name"),
        ("algorithms", "Middle-1 = brought:MIDDLE", ALGORITHM, "lower-case letters"),
        ("algorithms", "other = brought:MIDDLE", ALGORITHM, "it calls itself 'middle'"),
        ("algorithms", "middle = brought:NOWHERE", ALGORITHM, "cannot be imported (AttributeError"),
        ("algorithms", "middle = brought:MIDDLE", "import nothing_of_that_name", "No module named"),
        ("algorithms", "middle = brought:MIDDLE", ALGORITHM.replace("rsi_14h", "rsi_99h"), "unknown features: rsi_99h"),
        ("algorithms", "middle = brought:MIDDLE", ALGORITHM.replace("*, params", "params"), None),
        ("algorithms", "middle = brought:MIDDLE", ALGORITHM.replace("weight=None, ", ""), "its `fit` does not take"),
        ("algorithms", "middle = brought:MIDDLE", ALGORITHM.replace("Range(0.1, 1.0, default=0.5)", "3"), "Range or"),
        ("features", "double = brought:DOUBLE", FEATURE, None),
        ("features", "rsi_14h = brought:DOUBLE", FEATURE.replace("double", "rsi_14h"), "the platform has taken"),
        ("features", "close_lag_3h = brought:DOUBLE", FEATURE.replace("double", "close_lag_3h"), "has taken"),
        ("features", "double = brought:DOUBLE", FEATURE.replace("hours=1", "hours=1.5"), "must be whole hours"),
        ("features", "double = brought:DOUBLE", FEATURE.replace("hours=1", "days=100"), "at most 99 days"),
        ("features", "double = brought:DerivedFeature", FEATURE, "it is no cryptobot_assets.domain.features.Derived"),
        ("allocation_rules", "two = brought:TWO", "TWO = 2", "it is no cryptobot_assets.domain.allocation.Allocation"),
        ("allocation_rules", "best = brought:TWO", RULE, "the platform has taken that name"),
        ("exchanges", "half = brought:Half", EXCHANGE, "it lacks daily_closes, first_time, klines"),
        ("exchanges", "half = brought:ExchangeClient", EXCHANGE, "it lacks"),
        ("exchanges", "binance = brought:Half", EXCHANGE, "the platform has taken that name"),
        ("stores", "here = brought:open_here", STORE, None),
        ("stores", "here = brought:__name__", STORE, "cannot be called"),
        ("stores", "s3 = brought:open_here", STORE, "the platform has taken that name"),
    ],
)
def test_what_is_wrong_is_said_with_package_and_place(
    tmp_path: Path, group: str, line: str, code: str, wrong: str | None
):
    name, _, place = line.partition(" = ")
    catalogue = next(one for one in catalogues() if one.group == f"cryptobot_assets.{group}")
    with bringing(tmp_path, group, line, code):
        if wrong is None:
            assert set(catalogue.brought()) == {name}
            return
        with pytest.raises(BadPlugin) as refusal:
            catalogue.brought()
    told = str(refusal.value)
    assert told.startswith(f"package rebound 0.3 brings the {catalogue.kind} {name!r} ({place}): ")
    assert wrong in told and "\n" not in told


def test_a_command_tells_what_is_brought_and_what_is_wrong(tmp_path: Path, run: Run):
    points = "[cryptobot_assets.features]\ndouble = brought:DOUBLE\nhalf = brought:DOUBLE\n"
    with installed(tmp_path, {"brought.py": FEATURE}, points + "[cryptobot_assets.stores]\ns3 = brought:DOUBLE\n"):
        outcome = run("plugins")
    assert all(word in outcome.out for word in ("feature", "double", "rebound 0.3", "brought:DOUBLE"))
    told = outcome.require_refusal(1)
    assert "feature 'half' (brought:DOUBLE): it calls itself 'double' (and 1 more)" in told


PEEKING = """
from datetime import timedelta
import numpy as np
from cryptobot_assets.domain.features import DerivedFeature
def ahead(closes):
    return np.concatenate([closes[1:], np.full_like(closes[:1], np.nan)]) / closes
def far(closes):
    return np.nancumsum(closes, axis=0)
AHEAD = DerivedFeature("ahead", timedelta(hours=2), ahead)
FAR = DerivedFeature("far", timedelta(hours=2), far)
"""


@pytest.mark.parametrize(
    ("name", "test", "told"),
    [
        ("ahead", FeatureContract.test_the_future_changes_nothing, "not known yet"),
        ("far", FeatureContract.test_nothing_before_its_lookback_changes_it, "further back than its lookback"),
    ],
)
def test_the_contract_catches_a_feature_that_knows_too_much(tmp_path: Path, name: str, test: Callable, told: str):
    with (
        bringing(tmp_path, "features", f"{name} = brought:{name.upper()}", PEEKING),
        pytest.raises(AssertionError, match=told),
    ):
        test(FeatureContract(), name, make_closes(24 * 4), "1h", START + DAY)


def test_a_feature_that_peeks_is_found_before_anything_is_trained_on_it(tmp_path: Path):
    """The check that every training set passes, and the audit, look at what others bring too."""
    lake = Lake(str(tmp_path / "lake"))
    lake.replace(KLINES, make_klines(24 * 9), start=None, end=None)
    made = indicator_frame(make_closes(24 * 9), "1h", START, START + 9 * DAY)
    lake.replace(INDICATORS, made, start=None, end=None)
    with bringing(tmp_path / "brought", "features", "ahead = brought:AHEAD", PEEKING):
        read = SampleReader(lake, "1h", ("BTCUSDT",)).read
        samples = read(("close_lag_2h", "ahead"), ("BTCUSDT",), START + 3 * DAY, START + 5 * DAY)
        found = find_later_knowledge(lake, "1h", ("BTCUSDT",), samples)
        assert found["what"].to_list() == ["has no row of klines finished by then"]
        market = make_market(seed=0)
        assert own_rows(market, market["time"].max()).features[-1] == "ahead"
        honest = read(("close_lag_2h",), ("BTCUSDT",), START + 3 * DAY, START + 5 * DAY)
        assert find_later_knowledge(lake, "1h", ("BTCUSDT",), honest).is_empty()


def test_two_packages_may_not_bring_the_same_name(tmp_path: Path):
    second = {"name": "second", "version": "1.0"}
    with bringing(tmp_path / "a", "features", "double = brought:DOUBLE", FEATURE):
        group = "[cryptobot_assets.features]\ndouble = other:DOUBLE\n"
        with (
            installed(tmp_path / "b", {"other.py": FEATURE}, group, **second),
            pytest.raises(BadPlugin, match=r"(rebound 0\.3|second 1\.0) brings one of that name: uninstall either"),
        ):
            len(FEATURES)
        assert set(FEATURES) == {"double"}


def test_where_nobody_brings_anything_the_groups_are_named(run: Run):
    outcome = run("plugins")
    assert outcome.code == 0
    groups = ("features", "algorithms", "allocation_rules", "exchanges", "stores")
    assert all(f"cryptobot_assets.{group}" in "".join(outcome.out.split("\n")) for group in groups)


def test_an_address_says_which_exchange_it_is():
    for url in ("https://data-api.binance.vision", "binance+https://data-api.binance.vision", "http://h/a+b"):
        assert type(exchange_at(url)) is Exchange
    assert exchange_at("binance+http://127.0.0.1:9/").url == "http://127.0.0.1:9"
    with pytest.raises(UsageError, match=r"no exchange 'other' in other\+http://h; choose from binance"):
        exchange_at("other+http://h")
    assert list(EXCHANGES) == ["binance"]


def test_an_address_says_which_store_it_is(tmp_path: Path):
    with bringing(tmp_path, "stores", "here = brought:open_here", STORE):
        assert "here" in STORES
        assert open_store_at("here://there", s3_endpoint="http://s3").url == "here://there"
        with pytest.raises(UsageError, match="a store on mysql:// is not available; use a directory, s3://, here://"):
            open_store_at("mysql://host/db")
