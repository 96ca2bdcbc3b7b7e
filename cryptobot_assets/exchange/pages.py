"""Pages of klines as JSON, cut out of blocks that are rendered once."""

from __future__ import annotations

from collections import OrderedDict

from cryptobot_assets.exchange.market import Market, Series, interval_ms
from cryptobot_assets.exchange.queries import KlineQuery
from cryptobot_assets.exchange.wire import JSON_ROW, Rows, render

BLOCK_ROWS = 4096
CACHED_BLOCKS = 64
"""About 0.7 MB a block."""


class Pages:
    """The kline answers of one market, with the newest blocks of rendered rows kept."""

    def __init__(self, market: Market) -> None:
        self._market = market
        self._blocks: OrderedDict[tuple[str, str, bool, int], Rows] = OrderedDict()

    def page(self, query: KlineQuery, *, now_ms: int, microseconds: bool = False) -> bytes:
        """The JSON array that answers `query` at `now_ms`.

        Without a start these are the newest klines up to the end; an end before the start is an
        empty page. The kline that contains `now_ms` comes last, as far as it has come.
        """
        klines = self._market.series(query.symbol, query.interval)
        step = interval_ms(query.interval)
        end_ms = now_ms if query.end_ms is None else min(query.end_ms, now_ms)
        finished = klines.position(min(end_ms, now_ms - step) + 1)
        open_kline = self._open_kline(query, klines, end_ms=end_ms, now_ms=now_ms)
        total = finished + len(open_kline)
        first = max(0, total - query.limit) if query.start_ms is None else klines.position(query.start_ms)
        last = min(total, first + query.limit)
        rows = self._rendered(query, klines, first, min(last, finished), microseconds=microseconds)
        if last > finished and first <= finished:
            rows += render(open_kline, step_ms=step, layout=JSON_ROW, microseconds=microseconds).text
        return b"[" + rows[:-1] + b"]"

    def _open_kline(self, query: KlineQuery, klines: Series, *, end_ms: int, now_ms: int) -> Series:
        """The unfinished kline when the market has one by `end_ms`, else no row."""
        begin = now_ms - now_ms % interval_ms(query.interval)
        place = klines.position(begin)
        if begin > end_ms or place == len(klines) or klines.time_ms[place] != begin:
            return klines.rows(0, 0)
        return self._market.unfinished(query.symbol, query.interval, now_ms)

    def _rendered(self, query: KlineQuery, klines: Series, first: int, last: int, *, microseconds: bool) -> bytes:
        """Rows `[first, last)` as JSON, each with its comma."""
        parts = []
        while first < last:
            block, begin = divmod(first, BLOCK_ROWS)
            end = min(last - block * BLOCK_ROWS, BLOCK_ROWS)
            parts.append(self._block(query, klines, block, microseconds=microseconds).between(begin, end))
            first += end - begin
        return b"".join(parts)

    def _block(self, query: KlineQuery, klines: Series, block: int, *, microseconds: bool) -> Rows:
        key = (query.symbol, query.interval, microseconds, block)
        if key in self._blocks:
            self._blocks.move_to_end(key)
            return self._blocks[key]
        rows = klines.rows(block * BLOCK_ROWS, (block + 1) * BLOCK_ROWS)
        rendered = render(rows, step_ms=interval_ms(query.interval), layout=JSON_ROW, microseconds=microseconds)
        self._blocks[key] = rendered
        if len(self._blocks) > CACHED_BLOCKS:
            self._blocks.popitem(last=False)
        return rendered
