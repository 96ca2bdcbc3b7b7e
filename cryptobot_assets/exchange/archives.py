"""The bulk archives: one zipped CSV for each symbol, interval and month or day, with its checksum."""

from __future__ import annotations

import hashlib
import io
import re
import threading
import zipfile
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache, partial
from pathlib import Path

from cryptobot_assets.domain.intervals import day_start
from cryptobot_assets.exchange.market import Market, interval_ms, to_ms
from cryptobot_assets.exchange.wire import CSV_ROW, render

FIRST_MICROSECOND_DAY = date(2025, 1, 1)
ARCHIVE_NAME = re.compile(
    r"(?P<symbol>[A-Z0-9]+)-(?P<interval>[0-9a-zA-Z]+)-(?P<year>\d{4})-(?P<month>\d{2})(-(?P<day>\d{2}))?\.zip"
)
CACHED_ARCHIVES = 8


class Archives:
    """Archives of one market, made on demand and the same bytes every time.

    A file exists once its span has ended and if the market has klines in it. Times are in
    milliseconds for spans before 2025-01-01 and in microseconds from then on; there is no header.

    Args:
        folder: where files are kept once they are made, of this one market; without it the last few
            are kept in memory.
    """

    def __init__(self, market: Market, *, folder: Path | None = None) -> None:
        self._market = market
        self._made = lru_cache(CACHED_ARCHIVES)(self._make) if folder is None else partial(self._kept, folder)

    def archive(self, period: str, symbol: str, interval: str, name: str, *, now_ms: int) -> bytes | None:
        """The zip at `/data/spot/<period>/klines/<symbol>/<interval>/<name>`, None if there is none."""
        match = ARCHIVE_NAME.fullmatch(name)
        if match is None or (match["symbol"], match["interval"]) != (symbol, interval):
            return None
        if period != ("monthly" if match["day"] is None else "daily"):
            return None
        if symbol not in self._market.currencies or interval not in self._market.intervals:
            return None
        try:
            first = date(int(match["year"]), int(match["month"]), int(match["day"] or 1))
        except ValueError:
            return None
        after = first + timedelta(days=1) if match["day"] else (first + timedelta(days=31)).replace(day=1)
        return self._made(symbol, interval, first, after) if to_ms(day_start(after)) <= now_ms else None

    def _kept(self, folder: Path, symbol: str, interval: str, first: date, after: date) -> bytes | None:
        path = folder / f"{symbol}-{interval}-{first}-{after}.zip"
        try:
            return path.read_bytes()
        except FileNotFoundError:
            archive = self._make(symbol, interval, first, after)
        if archive is not None:
            # Renamed when whole: nobody reads half a file.
            written = path.with_suffix(f".{threading.get_ident()}")
            written.write_bytes(archive)
            written.replace(path)
        return archive

    def _make(self, symbol: str, interval: str, first: date, after: date) -> bytes | None:
        klines = self._market.series(symbol, interval).between(to_ms(day_start(first)), to_ms(day_start(after)))
        if not len(klines):
            return None
        microseconds = first >= FIRST_MICROSECOND_DAY
        rows = render(klines, step_ms=interval_ms(interval), layout=CSV_ROW, microseconds=microseconds)
        whole_month = first.day == 1 and after.day == 1
        stem = f"{symbol}-{interval}-{first:%Y-%m}" if whole_month else f"{symbol}-{interval}-{first:%Y-%m-%d}"
        target = io.BytesIO()
        with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
            archive.writestr(_entry(f"{stem}.csv", after), rows.text)
        return target.getvalue()


def _entry(name: str, after: date) -> zipfile.ZipInfo:
    """A zip entry dated by the data, so that the same klines give the same bytes."""
    written = max(datetime(after.year, after.month, after.day, tzinfo=UTC), datetime(1980, 1, 1, tzinfo=UTC))
    entry = zipfile.ZipInfo(name, date_time=written.timetuple()[:6])
    entry.compress_type = zipfile.ZIP_DEFLATED
    return entry


def checksum_line(archive: bytes, name: str) -> bytes:
    """What the `.CHECKSUM` beside an archive says, in the form `sha256sum -c` reads."""
    return f"{hashlib.sha256(archive).hexdigest()}  {name}\n".encode()
