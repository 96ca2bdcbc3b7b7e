"""Request parameters and the refusals of the exchange: codes and messages as Binance sends them."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from cryptobot_assets.exchange.market import Market

DEFAULT_LIMIT, MAX_LIMIT = 500, 1000
KLINE_PARAMETERS = ("symbol", "interval", "startTime", "endTime", "timeZone", "limit")
EXCHANGE_INFO_PARAMETERS = ("symbol", "symbols", "permissions", "showPermissionSets", "symbolStatus")
INTEGER, INTEGER_RANGE = re.compile(r"[0-9]{1,20}"), "^[0-9]{1,20}$"
NAME, NAME_RANGE = re.compile(r"[A-Z0-9-_.]{1,20}"), "^[A-Z0-9-_.]{1,20}$"
LONGEST_TIME = 2**63 - 1
FIRST_MICROSECOND_TIME = 10**14
"""A time of this size or above is in microseconds: in milliseconds it would be the year 5138."""


class Refused(Exception):
    """A request that the exchange answers with an error: HTTP `status`, its `code` and `message`."""

    def __init__(self, code: int, message: str, *, status: int = 400) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.status = status


@dataclass(frozen=True)
class KlineQuery:
    """A request for klines: open times in `[start_ms, end_ms]`, either end open when None."""

    symbol: str
    interval: str
    start_ms: int | None
    end_ms: int | None
    limit: int


def parse_kline_query(parameters: Mapping[str, str], market: Market) -> KlineQuery:
    """The request in `parameters`; a limit over 1,000 is served as 1,000, as Binance does.

    Raises:
        Refused: a parameter is missing, malformed, unknown, or names what the market lacks.
    """
    for name in ("symbol", "interval"):
        if not parameters.get(name):
            raise Refused(-1102, f"Mandatory parameter '{name}' was not sent, was empty/null, or malformed.")
    require_read(parameters, KLINE_PARAMETERS)
    query = KlineQuery(
        symbol=require_symbol(parameters["symbol"], market),
        interval=parameters["interval"],
        start_ms=_time(parameters, "startTime"),
        end_ms=_time(parameters, "endTime"),
        limit=_limit(parameters),
    )
    if query.interval not in market.intervals:
        raise Refused(-1120, "Invalid interval.")
    if parameters.get("timeZone", "0") not in ("0", "0:00", "00:00", "+0", "+00:00", "-0"):
        raise Refused(-1130, "Data sent for parameter 'timeZone' is not valid.")
    return query


def parse_symbols(parameters: Mapping[str, str], market: Market) -> tuple[str, ...] | None:
    """The symbols that an exchangeInfo request asks for; None means all of them."""
    if "symbol" in parameters and "symbols" in parameters:
        raise Refused(-1128, "Combination of optional parameters invalid.")
    if "symbol" in parameters:
        return (require_symbol(parameters["symbol"], market),)
    if "symbols" not in parameters:
        return None
    try:
        names = json.loads(parameters["symbols"])
    except ValueError:
        names = None
    if not isinstance(names, list) or not names or not all(isinstance(name, str) for name in names):
        raise Refused(
            -1100, "Illegal characters found in parameter 'symbols'; legal range is '[\"BTCUSDT\",\"BNBUSDT\"]'."
        )
    return tuple(require_symbol(name, market) for name in names)


def parse_microseconds(unit: str | None) -> bool:
    """Whether an `X-MBX-TIME-UNIT` header asks for microseconds."""
    name = (unit or "MILLISECOND").upper()
    if name not in ("MILLISECOND", "MICROSECOND"):
        raise Refused(-1194, "Invalid value for time unit; expected either MICROSECOND or MILLISECOND.")
    return name == "MICROSECOND"


def require_symbol(symbol: str, market: Market) -> str:
    """Return `symbol` when the market trades it."""
    if not NAME.fullmatch(symbol):
        raise Refused(-1100, f"Illegal characters found in parameter 'symbol'; legal range is '{NAME_RANGE}'.")
    if symbol not in market.listed:
        raise Refused(-1121, "Invalid symbol.")
    return symbol


def require_read(parameters: Mapping[str, str], known: Collection[str]) -> None:
    """Refuse parameters that nothing reads."""
    read = sum(name in known for name in parameters)
    if read != len(parameters):
        raise Refused(
            -1104, f"Not all sent parameters were read; read '{read}' parameter(s) but was sent '{len(parameters)}'."
        )


def _integer(parameters: Mapping[str, str], name: str) -> int | None:
    text = parameters.get(name)
    if text is None:
        return None
    if not text:
        raise Refused(-1105, f"Parameter '{name}' was empty.")
    if not INTEGER.fullmatch(text):
        raise Refused(-1100, f"Illegal characters found in parameter '{name}'; legal range is '{INTEGER_RANGE}'.")
    if int(text) > LONGEST_TIME:
        raise Refused(-1108, f"Parameter '{name}' overflowed.")
    return int(text)


def _time(parameters: Mapping[str, str], name: str) -> int | None:
    """A time in ms; a start between two milliseconds rounds up, an end down."""
    time = _integer(parameters, name)
    if time is None or time < FIRST_MICROSECOND_TIME:
        return time
    return -(-time // 1000) if name == "startTime" else time // 1000


def _limit(parameters: Mapping[str, str]) -> int:
    limit = _integer(parameters, "limit")
    if limit == 0:
        raise Refused(-1130, "Data sent for parameter 'limit' is not valid.")
    return min(limit or DEFAULT_LIMIT, MAX_LIMIT)
