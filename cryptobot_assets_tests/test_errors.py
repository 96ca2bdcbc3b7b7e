"""Errors: one tree, drawn where it is defined, with the facts a caller needs."""

from __future__ import annotations

import inspect

import pytest

from cryptobot_assets import errors
from cryptobot_assets.errors import CryptobotError, RateLimited, UnknownCurrency, UsageError

CLASSES = [one for _, one in inspect.getmembers(errors, inspect.isclass) if issubclass(one, CryptobotError)]


@pytest.mark.parametrize("error", CLASSES, ids=lambda one: one.__name__)
def test_every_error_is_drawn_below_its_parent(error: type):
    drawing = errors.__doc__.splitlines()
    lines = {line.split("── ")[-1].split()[0]: line for line in drawing if line.strip("│ └├─")}
    assert error.__name__ in lines
    if error is not CryptobotError:
        parent = error.__bases__[0].__name__
        names = list(lines)
        assert names.index(parent) < names.index(error.__name__)
        assert depth(lines[error.__name__]) == depth(lines[parent]) + 1


def depth(line: str) -> int:
    return (len(line) - len(line.lstrip("│ └├─"))) // 4


def test_an_unknown_currency_offers_close_matches():
    known = ["BTCUSDT", "BCHUSDT", "ETHUSDT", "DOGEUSDT"]
    error = UnknownCurrency("btcusd", known)
    assert isinstance(error, UsageError)
    assert error.close_matches[0] == "BTCUSDT"
    assert str(error).startswith("unknown currency 'btcusd'; did you mean BTCUSDT")
    assert str(UnknownCurrency("zzz", iter(known))) == "unknown currency 'zzz'"


def test_a_rate_limit_carries_its_wait():
    error = RateLimited("wait", status=418, retry_after_seconds=120.0)
    assert (error.status, error.retry_after_seconds, error.code) == (418, 120.0, None)
