"""The archives' directory as XML, as the storage behind the real archives lists it (S3's ListObjects).

Only `prefix`, `delimiter`, `marker` and `max-keys` are read. Keys come in order of their bytes, at
most 1,000 an answer; `NextMarker` says where the next answer begins.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import groupby
from xml.sax.saxutils import escape

import numpy as np

from cryptobot_assets.exchange.market import Market
from cryptobot_assets.exchange.queries import Refused

NAMESPACE = "http://s3.amazonaws.com/doc/2006-03-01/"
MOST_KEYS = 1000
PERIODS = {"daily": "D", "monthly": "M"}
"""Folder of each kind of file, and numpy's unit of its span."""


class Directory:
    """Names of all archive files of one market, made as they are asked for."""

    def __init__(self, market: Market) -> None:
        self._market = market

    def listing(self, parameters: Mapping[str, str], *, now_ms: int) -> bytes:
        """One page of the names that begin with `prefix`; those that go on past `delimiter` are folded into one.

        Raises:
            Refused: `max-keys` is no number.
        """
        prefix, delimiter = parameters.get("prefix", ""), parameters.get("delimiter", "")
        marker, most = parameters.get("marker", ""), _most(parameters.get("max-keys", str(MOST_KEYS)))
        page: list[str] = []
        more = False
        for name in self._entries(prefix, delimiter, now_ms):
            if name <= marker:
                continue
            if len(page) == most:
                more = True
                break
            page.append(name)
        return _document(prefix, delimiter, marker, most, page, more=more)

    def _entries(self, prefix: str, delimiter: str, now_ms: int) -> Iterator[str]:
        """Names, and folders with the delimiter at their end, in order."""
        keys = self._keys(prefix, now_ms)
        if not delimiter:
            yield from keys
            return
        for entry, _ in groupby(keys, key=lambda key: _folded(key, prefix, delimiter)):
            yield entry

    def _keys(self, prefix: str, now_ms: int) -> Iterator[str]:
        """Every key that begins with the prefix, in order; folders that cannot hold one are passed by."""
        for period, unit in PERIODS.items():
            for currency in sorted(self._market.currencies):
                for interval in sorted(self._market.intervals):
                    folder = f"data/spot/{period}/klines/{currency}/{interval}/"
                    if not (folder.startswith(prefix) or prefix.startswith(folder)):
                        continue
                    for day in self._spans(currency, interval, unit, now_ms):
                        for ending in (".zip", ".zip.CHECKSUM"):
                            key = f"{folder}{currency}-{interval}-{day}{ending}"
                            if key.startswith(prefix):
                                yield key

    def _spans(self, currency: str, interval: str, unit: str, now_ms: int) -> list[str]:
        """Days or months that have ended and hold a kline, as they stand in file names."""
        opened = self._market.series(currency, interval).time_ms.astype("datetime64[ms]")
        spans = np.unique(opened.astype(f"datetime64[{unit}]"))
        ended = (spans + 1).astype("datetime64[ms]").astype(np.int64) <= now_ms
        names: list[str] = spans[ended].astype(str).tolist()
        return names


def _folded(key: str, prefix: str, delimiter: str) -> str:
    place = key.find(delimiter, len(prefix))
    return key if place < 0 else key[: place + len(delimiter)]


def _most(text: str) -> int:
    if not text.isdecimal():
        raise Refused(-1100, "Provided max-keys not an integer or within integer range")
    return min(int(text), MOST_KEYS)


def _document(prefix: str, delimiter: str, marker: str, most: int, page: list[str], *, more: bool) -> bytes:
    folders = [name for name in page if delimiter and name.endswith(delimiter)]
    files = [name for name in page if name not in set(folders)]
    parts = [
        f'<?xml version="1.0" encoding="UTF-8"?>\n<ListBucketResult xmlns="{NAMESPACE}">',
        _element("Prefix", prefix),
        _element("Marker", marker),
        _element("MaxKeys", str(most)),
        _element("Delimiter", delimiter) if delimiter else "",
        _element("IsTruncated", str(more).lower()),
        _element("NextMarker", page[-1]) if more and delimiter else "",
        *(f"<Contents>{_element('Key', name)}</Contents>" for name in files),
        *(f"<CommonPrefixes>{_element('Prefix', name)}</CommonPrefixes>" for name in folders),
        "</ListBucketResult>",
    ]
    return "".join(parts).encode()


def _element(name: str, text: str) -> str:
    return f"<{name}>{escape(text)}</{name}>"
