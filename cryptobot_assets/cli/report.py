"""`cryptobot report`."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime
from pathlib import Path

from cryptobot_assets.cli.console import require_writable_file, say
from cryptobot_assets.cli.leaderboard import print_leaderboard
from cryptobot_assets.domain.intervals import DAY, day_start
from cryptobot_assets.errors import NotEnoughHistory, UnknownCurrency, UsageError
from cryptobot_assets.leaderboard import open_end, read_evidence
from cryptobot_assets.page.render import make_page, write_page
from cryptobot_assets.partitions import Partitions
from cryptobot_assets.report import report_of
from cryptobot_assets.resources import open_registry
from cryptobot_assets.settings import Settings
from cryptobot_assets.storage.store import PREDICTIONS, open_store


def run_report(
    settings: Settings, market: str, first: date | None, last: date | None, *, as_json: bool, html: Path | None = None
) -> None:
    """Print the leaderboard of a market over [first, last]; `html` names a file to write the whole report to."""
    if first and last and last < first:
        raise UsageError(f"the range {first} to {last} is empty: --to is before --from")
    markets = Partitions(settings).markets
    if market not in markets:
        raise UnknownCurrency(market, markets)
    if html is not None:
        require_writable_file(html)
    store = open_store(settings)
    start, end = day_start(first) if first else None, day_start(last) + DAY if last else None
    end = open_end(settings, end)
    outcomes = store.read(PREDICTIONS, start=start, end=end, columns=["realised_return"], market=market)
    if outcomes["realised_return"].count() == 0:
        raise NotEnoughHistory(
            f"market {market} has no out-of-sample prediction with a known outcome in that range: "
            "run `cryptobot demo`, or train and predict in the Dagster UI"
        )
    evidence, registry = read_evidence(store, settings, market, start=start, end=end), open_registry(settings)
    if html is None:
        parts = report_of(evidence, registry, settings)
    else:
        page = make_page(store, registry, settings, evidence, now=datetime.now(UTC))
        parts = dict(page.report)
        write_page(html, page.text)
    if as_json:
        print(json.dumps({name: parts[name] for name in ("models", "control", "champion")}, indent=2, allow_nan=False))
        return
    print_leaderboard(parts["models"], parts["control"], parts["champion"])
    for line in parts["words"]:
        say(line)
    if html is not None:
        say(f"The whole report: {html.absolute()}")
