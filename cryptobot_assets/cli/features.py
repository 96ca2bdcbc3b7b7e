"""`cryptobot features`: what the features of registered versions add out of sample."""

from __future__ import annotations

from cryptobot_assets.cli.console import print_table, say
from cryptobot_assets.domain.feature_worth import told_worth
from cryptobot_assets.errors import NotEnoughHistory, UnknownCurrency
from cryptobot_assets.feature_worth import MOST_DAYS, MOST_ROWS, read_worths
from cryptobot_assets.leaderboard import Evidence, evaluate_predictions, open_end, read_predictions
from cryptobot_assets.partitions import Partitions
from cryptobot_assets.resources import open_registry
from cryptobot_assets.settings import Settings
from cryptobot_assets.storage.store import open_store


def run_features(settings: Settings, market: str) -> None:
    """Print what each group of features adds, for every algorithm of a market."""
    if market not in Partitions(settings).markets:
        raise UnknownCurrency(market, Partitions(settings).markets)
    store = open_store(settings)
    predictions = read_predictions(store, market, end=open_end(settings, None))
    evaluations = evaluate_predictions(store, settings, predictions, draws=0)
    worths = read_worths(store, open_registry(settings), settings, Evidence(market, predictions, evaluations, {}, {}))
    if not worths:
        raise NotEnoughHistory(
            f"market {market} has no registered version that scored rows with a known outcome: run `cryptobot demo`, "
            "or train and predict in the Dagster UI"
        )
    rows = [
        [algorithm if number == 0 else "", one.group, str(one.features), told_worth(one)]
        for algorithm, found in worths.items()
        for number, one in enumerate(found)
    ]
    columns = ["algorithm", "group", "features", "adds (90 %)"]
    print_table("What groups of features add out of sample", columns, rows, numbers_from=2)
    say(
        "Rise of the squared error when a group is shuffled, in % of the error of predicting zero; an interval that "
        f"holds zero: not missed beside the others. Newest {MOST_DAYS} days, at most {MOST_ROWS:,} rows."
    )
