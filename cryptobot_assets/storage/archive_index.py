"""The directory of the exchange's archives: which currencies have files, and of which days.

The storage behind the archives answers as S3 does (ListObjects): names below a prefix, at most
1,000 an answer, the next ones from a marker on.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from datetime import date, timedelta
from xml.etree import ElementTree

import msgspec

from cryptobot_assets.domain.intervals import parse_day
from cryptobot_assets.errors import ExchangeError
from cryptobot_assets.storage.http import Http
from cryptobot_assets.storage.weight import Budget

FOLDER = "data/spot/{period}/klines/"
SPAN = re.compile(r"-(?P<month>\d{4}-\d{2})(?P<day>-\d{2})?\.zip$")
LONGEST_WAIT_SECONDS = 30.0


class ArchiveIndex:
    """A client of one directory address, for example https://s3-ap-northeast-1.amazonaws.com/data.binance.vision.

    Its methods raise `ExchangeError` and below, as `storage/http.py` does.
    """

    def __init__(
        self,
        url: str,
        *,
        timeout_seconds: float = 10.0,
        retries: int = 4,
        sleep: Callable[[float], None] = time.sleep,
        budget: Budget | None = None,
    ) -> None:
        self._http = Http(
            url,
            name="archive directory",
            timeout_seconds=timeout_seconds,
            retries=retries,
            sleep=sleep,
            budget=budget,
            longest_wait_seconds=LONGEST_WAIT_SECONDS,
        )
        self.url = self._http.url

    def currencies(self) -> set[str]:
        """Every symbol with a monthly or a daily file of klines."""
        folders = [FOLDER.format(period=period) for period in ("monthly", "daily")]
        return {name.rstrip("/").rpartition("/")[2] for folder in folders for name in self._names(folder)}

    def days(self, currency: str, interval: str) -> list[date]:
        """Days of which a currency has klines, by the names of its daily files and, where a month has none, its own."""
        daily = self._spans("daily", currency, interval)
        days = {parse_day(f"{month}{day}") for month, day in daily if day}
        with_days = {month for month, _ in daily}
        for month, _ in self._spans("monthly", currency, interval):
            if month not in with_days:
                days |= set(_days_of(month))
        return sorted(days)

    def _spans(self, period: str, currency: str, interval: str) -> list[tuple[str, str | None]]:
        folder = f"{FOLDER.format(period=period)}{currency}/{interval}/"
        found = (SPAN.search(name) for name in self._names(folder))
        return [(one["month"], one["day"]) for one in found if one]

    def _names(self, prefix: str) -> Iterator[str]:
        """Names of the files and folders in a folder."""
        marker: str | None = ""
        while marker is not None:
            query = {"prefix": prefix, "delimiter": "/", "marker": marker}
            names, following = self._http.get("", query, decode=_parse)
            yield from names
            if following is not None and following <= marker:
                raise ExchangeError(f"archive directory {self.url}: it says the same page again and again")
            marker = following


def _parse(body: bytes) -> tuple[list[str], str | None]:
    """Names of one answer, and the marker of the next, None after the last."""
    try:
        root = ElementTree.fromstring(body)  # noqa: S314 of the exchange's archive; expat bounds what entities become
    except ElementTree.ParseError as error:
        raise msgspec.DecodeError(f"no directory: {error}") from error
    if _tag(root) != "ListBucketResult":
        raise msgspec.DecodeError(f"no directory: <{_tag(root)}>")
    names = [
        leaf.text or ""
        for branch in root
        for leaf in branch
        if (_tag(branch), _tag(leaf)) in (("Contents", "Key"), ("CommonPrefixes", "Prefix"))
    ]
    told = {_tag(one): one.text or "" for one in root}
    if told.get("IsTruncated") != "true":
        return names, None
    if not names:
        raise msgspec.DecodeError("no directory: it goes on, and names nothing")
    return names, told.get("NextMarker") or max(names)


def _tag(element: ElementTree.Element) -> str:
    return element.tag.rpartition("}")[2]


def _days_of(month: str) -> Iterator[date]:
    day = parse_day(f"{month}-01")
    while day.isoformat().startswith(month):
        yield day
        day += timedelta(days=1)
