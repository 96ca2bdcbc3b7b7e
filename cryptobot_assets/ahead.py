"""Work done one piece ahead of its use."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

Item = TypeVar("Item")


@dataclass(frozen=True)
class _End:
    """Comes after the last item."""


def one_ahead(work: Iterable[Item]) -> Iterator[Item]:
    """The items of `work` in order, each made in a thread while its user is busy with the one before.

    An error of `work` is raised where its item would come. At most two items are held at a time.

    >>> list(one_ahead(number * 2 for number in range(3)))
    [0, 2, 4]
    """
    items, end = iter(work), _End()

    def following() -> Item | _End:
        return next(items, end)

    with ThreadPoolExecutor(1, thread_name_prefix="ahead") as pool:
        coming = pool.submit(following)
        while not isinstance(item := coming.result(), _End):
            coming = pool.submit(following)
            yield item
