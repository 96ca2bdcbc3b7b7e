"""Work one piece ahead: same items, same order, errors in their place, never more than two at a time."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from cryptobot_assets.ahead import one_ahead


def test_items_come_in_order():
    assert list(one_ahead(range(5))) == list(range(5))
    assert list(one_ahead([])) == []


def test_the_next_item_is_made_while_one_is_in_use_and_none_after_it():
    asked, made = [threading.Event() for _ in range(4)], []

    def work() -> Iterator[int]:
        for number in range(4):
            asked[number].set()
            made.append(number)
            yield number

    items = one_ahead(work())
    assert next(items) == 0
    assert asked[1].wait(60)
    assert next(items) == 1
    assert asked[2].wait(60)
    assert made == [0, 1, 2]
    items.close()
    assert made == [0, 1, 2]


def test_an_error_comes_where_its_item_would():
    def work() -> Iterator[int]:
        yield 1
        raise ValueError("here")

    items = one_ahead(work())
    assert next(items) == 1
    with pytest.raises(ValueError, match="here"):
        next(items)
