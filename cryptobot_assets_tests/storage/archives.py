"""Archive files and ways of reading both sides, for the tests of the archive and of the history."""

from __future__ import annotations

import hashlib
import io
import zipfile
from collections.abc import Mapping
from datetime import UTC, datetime

from cryptobot_assets.exchange.market import Market, interval_ms, to_ms
from cryptobot_assets_tests.exchange.markets import make_market, make_series
from cryptobot_assets_tests.storage.scripts import Answer

DECEMBER = datetime(2024, 12, 1, tzinfo=UTC)
JANUARY = datetime(2025, 1, 1, tzinfo=UTC)
FEBRUARY = datetime(2025, 2, 1, tzinfo=UTC)
MISSING: Answer = (404, {}, b"<html>")


def make_past(end: datetime, *currencies: str, interval: str = "1h", start: datetime = DECEMBER) -> Market:
    """A market of whole hours or minutes from `start` to `end`."""
    count = (to_ms(end) - to_ms(start)) // interval_ms(interval)
    series = make_series(count, start_ms=to_ms(start), interval=interval)
    return make_market(dict.fromkeys(currencies or ("BTCUSDT",), series), interval=interval)


def csv_line(opened: int, *, low: str = "0.5", trades: str = "7") -> str:
    return f"{opened},1.0,2.0,{low},1.5,3.0,{opened + 1},4.5,{trades},1.0,1.5,0"


def zipped(files: Mapping[str, bytes]) -> bytes:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in files.items():
            archive.writestr(name, text)
    return target.getvalue()


def published(name: str, archive: bytes, *, digest: str | None = None) -> dict[str, list[Answer]]:
    """Answers of a server that publishes one archive, under its checksum or another."""
    line = f"{digest or hashlib.sha256(archive).hexdigest()}  {name}\n".encode()
    return {name: [(200, {}, archive)], f"{name}.CHECKSUM": [(200, {}, line)]}
