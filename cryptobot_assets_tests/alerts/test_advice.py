"""Every error of the platform's own comes with something to do."""

from __future__ import annotations

import inspect

import pytest

from cryptobot_assets import errors
from cryptobot_assets.alerts.advice import ADVICE, OTHERWISE, advice_on
from cryptobot_assets.errors import CryptobotError

NAMES = [name for name, one in inspect.getmembers(errors, inspect.isclass) if issubclass(one, CryptobotError)]


@pytest.mark.parametrize("name", NAMES)
def test_an_error_of_ours_has_advice(name: str):
    assert advice_on(name) in ADVICE.values()


def test_a_child_without_advice_of_its_own_has_its_parent_s():
    assert advice_on("HomeConflict") == ADVICE["UsageError"]
    assert advice_on("ZeroDivisionError") == advice_on("difflib") == OTHERWISE


def test_advice_is_of_errors_that_exist():
    assert set(ADVICE) <= set(NAMES)
