"""The exchange's bulk archives: zipped CSVs of a month's or a day's klines, each with its checksum.

A file is believed only when its SHA-256 is the one its `.CHECKSUM` gives, its rows keep the kline
contract and lie within its span. Published files have been replaced, unreadable, and beside wrong or
missing checksums, so one that cannot be believed is an ordinary event: `BadArchive`, for the
caller to read the same klines elsewhere. Nothing is cached: reading again reads what is published now.
"""

from __future__ import annotations

import hashlib
import io
import re
import threading
import time
import zipfile
import zlib
from collections.abc import Callable

import polars as pl

from cryptobot_assets.domain.klines import KLINE_SCHEMA, require_klines
from cryptobot_assets.domain.sources import Source
from cryptobot_assets.errors import BadArchive, BadKlines, ExchangeError, RateLimited
from cryptobot_assets.storage.http import Http
from cryptobot_assets.storage.weight import Budget

CSV_COLUMNS: dict[str, pl.DataType] = {
    "time": pl.Int64(),
    "open": pl.Float64(),
    "high": pl.Float64(),
    "low": pl.Float64(),
    "close": pl.Float64(),
    "volume": pl.Float64(),
    "close_time": pl.Int64(),
    "quote_volume": pl.Float64(),
    "trades": pl.Int64(),
    "taker_volume": pl.Float64(),
    "taker_quote_volume": pl.Float64(),
    "ignored": pl.String(),
}
KEPT_COLUMNS = [position for position, name in enumerate(CSV_COLUMNS) if name in KLINE_SCHEMA]
FIRST_MICROSECONDS = 10**14
"""Open times from here on are microseconds: as milliseconds they would lie beyond the year 5138."""

LARGEST_CSV_BYTES = 256 * 2**20
CHECKSUM_LINE = re.compile(r"(?P<digest>[0-9a-fA-F]{64})[ *]+(?P<name>\S+)\s*")
LONGEST_WAIT_SECONDS = 30.0
PATIENCE_SECONDS = 180.0
"""A month's file over a slow line takes its time."""
SILENCES = 2
"""So many files in a row that nobody answers for, and the archive is left alone for a while."""
SILENCE_SECONDS = 60.0
MISSING, REFUSED = 404, (403, 451)


class Archive:
    """A client of one archive address; safe from several threads.

    Args:
        url: base address, for example https://data.binance.vision.
        timeout_seconds: of connecting and of reading, each.
        retries: further tries after a fault that may pass.
        sleep: replaced in tests.
        budget: what makes this machine's processes wait together; that of `url` by default.
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
            name="archive",
            timeout_seconds=timeout_seconds,
            patience_seconds=PATIENCE_SECONDS,
            retries=retries,
            sleep=sleep,
            budget=budget,
            longest_wait_seconds=LONGEST_WAIT_SECONDS,
        )
        self.url = self._http.url
        self._lock = threading.Lock()
        self._silences = 0
        self._silent_until = 0.0

    def read(self, currency: str, interval: str, source: Source) -> pl.DataFrame:
        """The klines of one monthly or daily file, as `KLINE_SCHEMA`, `source` saying `archive`.

        A wrong or missing checksum is asked for once more, together with its file.

        Raises:
            BadArchive: not published, not to be had, or not to be believed; the message says which.
        """
        path = archive_path(currency, interval, source)
        name = path.rpartition("/")[2]
        try:
            archive = self._verified(path, name)
        except _Spoiled:
            try:
                archive = self._verified(path, name)
            except _Spoiled as error:
                raise BadArchive(f"{name}: {error}") from error
        try:
            return parse_klines(unzip(archive), currency, interval, source)
        except (BadKlines, _Spoiled) as error:
            raise BadArchive(f"{name}: {error}") from error

    def _verified(self, path: str, name: str) -> bytes:
        archive = self._get(path, name)
        if archive is None:
            raise BadArchive(f"{name}: not published")
        line = self._get(f"{path}.CHECKSUM", name)
        if line is None:
            raise _Spoiled("its checksum is missing")
        said = CHECKSUM_LINE.fullmatch(line.decode(errors="replace"))
        if said is None or said["name"].rpartition("/")[2] != name:
            raise _Spoiled("its checksum cannot be read")
        if said["digest"].lower() != hashlib.sha256(archive).hexdigest():
            raise _Spoiled("its checksum is another's")
        return archive

    def _get(self, path: str, name: str) -> bytes | None:
        """The file's bytes, None where there is none."""
        if time.monotonic() < self._silent_until:
            raise BadArchive(f"{name}: left alone, the archive gave no answers a moment ago")
        try:
            body = self._http.get(path, {}, decode=bytes)
        except ExchangeError as error:
            if error.status == MISSING:
                self._heard()
                return None
            self._unheard(at_once=error.status in REFUSED or isinstance(error, RateLimited))
            raise BadArchive(f"{name}: {error}") from error
        self._heard()
        return body

    def _heard(self) -> None:
        with self._lock:
            self._silences = 0

    def _unheard(self, *, at_once: bool) -> None:
        with self._lock:
            self._silences += 1
            if at_once or self._silences >= SILENCES:
                self._silences = 0
                self._silent_until = time.monotonic() + SILENCE_SECONDS


class _Spoiled(Exception):
    """A file that is not what its checksum or its name says."""


def archive_path(currency: str, interval: str, source: Source) -> str:
    """Path of a monthly or daily file below the archive's address."""
    day = source.start.strftime("%Y-%m" if source.kind == "monthly" else "%Y-%m-%d")
    return f"/data/spot/{source.kind}/klines/{currency}/{interval}/{currency}-{interval}-{day}.zip"


def unzip(archive: bytes) -> bytes:
    """The one CSV in a zip."""
    try:
        with zipfile.ZipFile(io.BytesIO(archive)) as held:
            entries = [entry for entry in held.infolist() if entry.filename.endswith(".csv")]
            if len(entries) != 1 or entries[0].file_size > LARGEST_CSV_BYTES:
                raise _Spoiled("it does not hold one CSV of a credible size")
            return held.read(entries[0])
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
        raise _Spoiled("the zip cannot be read") from error


def parse_klines(text: bytes, currency: str, interval: str, source: Source) -> pl.DataFrame:
    """Klines of a CSV of the exchange's 12 columns, as `KLINE_SCHEMA`.

    A first line that does not begin with a digit is a header; open times are taken for
    milliseconds or microseconds by their magnitude, row by row.

    Raises:
        BadKlines: rows that cannot be read, break the kline contract, or lie outside [start, end) of the source.
    """
    try:
        raw = pl.read_csv(
            text,
            has_header=False,
            skip_rows=0 if text[:1].isdigit() else 1,
            schema=CSV_COLUMNS,
            columns=KEPT_COLUMNS,
            quote_char=None,
        )
    except pl.exceptions.PolarsError as error:
        raise BadKlines("the CSV cannot be read") from error
    opened = pl.col("time")
    micros = pl.when(opened < FIRST_MICROSECONDS).then(opened * 1000).otherwise(opened)
    typed = raw.with_columns(
        micros.cast(pl.Datetime("us")).dt.replace_time_zone("UTC"),
        currency=pl.lit(currency),
        source=pl.lit("archive"),
    )
    klines = require_klines(typed, interval)
    if klines.is_empty():
        raise BadKlines("no kline in it")
    if klines["time"][0] < source.start or klines["time"][-1] >= source.end:
        raise BadKlines("rows outside the file's span")
    return klines
