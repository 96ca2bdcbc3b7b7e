"""FreqAI's backtesting as a contestant: `freqtrade backtesting` up to where trades would be simulated.

    python -m benchmarks.peers.freqai_loop PLAN.json KLINES.parquet FOLDER

Data are loaded and features computed, and per currency and window a model is trained, saved, and predicts the period
that follows. Only what asks the exchange which markets it has is replaced: they are told from the plan.
"""

from __future__ import annotations

import json
import logging
import shutil
import sys
from pathlib import Path
from typing import Any

import pandas as pd
from freqtrade.configuration import Configuration
from freqtrade.data.history.datahandlers import get_datahandler
from freqtrade.enums import CandleType, RunMode
from freqtrade.exchange import Exchange
from freqtrade.optimize.backtesting import Backtesting

from benchmarks.peers.contestant import serve

QUOTE = "USDT"
INTERVAL = "1h"
STRATEGIES = Path(__file__).resolve().parent / "strategies"
LABEL = "&-return"


def pair(currency: str) -> str:
    """freqtrade's name: BTC/USDT."""
    return f"{currency.removesuffix(QUOTE)}/{QUOTE}"


def market(name: str) -> dict[str, Any]:
    """What ccxt would tell of a market."""
    base, quote = name.split("/")
    return {
        "id": f"{base}{quote}", "symbol": name, "base": base, "quote": quote, "baseId": base, "quoteId": quote,
        "type": "spot", "spot": True, "margin": False, "swap": False, "future": False, "option": False,
        "contract": False, "active": True, "precision": {"amount": 1e-5, "price": 1e-8},
        "limits": {"amount": {"min": 1e-5}, "price": {"min": 1e-8}, "cost": {"min": 1.0}},
    }  # fmt: skip


def configure(plan: dict[str, Any], folder: Path) -> dict[str, Any]:
    """freqtrade's configuration, checked and completed by itself."""
    (folder / "user_data" / "data").mkdir(parents=True)
    asked = {
        "trading_mode": "spot", "dry_run": True, "dry_run_wallet": 1000, "stake_currency": QUOTE, "stake_amount": 10,
        "max_open_trades": 1, "timeframe": INTERVAL, "fee": 0.001, "dataformat_ohlcv": "feather",
        "entry_pricing": {"price_side": "same", "use_order_book": True, "order_book_top": 1},
        "exit_pricing": {"price_side": "same", "use_order_book": True, "order_book_top": 1},
        "exchange": {"name": "binance", "pair_whitelist": [pair(name) for name in plan["currencies"]]},
        "pairlists": [{"method": "StaticPairList"}],
        "strategy": "PlatformFeatures", "strategy_path": str(STRATEGIES), "freqaimodel": "XGBoostRegressor",
        "timerange": f"{plan['first']}-{plan['end']}",
        "user_data_dir": str(folder / "user_data"), "datadir": str(folder / "user_data" / "data"),
        "platform_features": plan["features"],
        "freqai": {
            "enabled": True, "identifier": "walk_forward", "save_backtest_models": True, "activate_tensorboard": False,
            "train_period_days": plan["train_days"], "backtest_period_days": plan["period_days"],
            "feature_parameters": {
                "include_timeframes": [INTERVAL], "include_corr_pairlist": [], "indicator_periods_candles": [1],
                "label_period_candles": 24, "include_shifted_candles": 0, "DI_threshold": 0, "weight_factor": 0,
                "principal_component_analysis": False, "use_SVM_to_remove_outliers": False,
                "plot_feature_importances": 0,
            },
            "data_split_parameters": {"test_size": 0, "shuffle": False},
            "model_training_parameters": plan["xgboost"],
        },
    }  # fmt: skip
    path = folder / "config.json"
    path.write_text(json.dumps(asked))
    config: dict[str, Any] = Configuration({"config": [str(path)]}, RunMode.BACKTEST).get_config()
    return config


def store_klines(source: str, currencies: list[str], config: dict[str, Any]) -> None:
    """As `freqtrade download-data` would have left them."""
    handler = get_datahandler(config["datadir"], "feather")
    klines = pd.read_parquet(source).rename(columns={"time": "date"})
    for currency in currencies:
        rows = klines[klines["currency"] == currency].drop(columns="currency")
        handler.ohlcv_store(pair(currency), INTERVAL, rows, CandleType.SPOT)


def main() -> None:
    """Store and configure once, then walk forward at every turn, nothing left of the turn before."""
    plan, source, folder = json.loads(Path(sys.argv[1]).read_text()), sys.argv[2], Path(sys.argv[3])
    config = configure(plan, folder)
    logging.disable(logging.WARNING)
    store_klines(source, plan["currencies"], config)
    Exchange._load_async_markets = lambda exchange, reload=False: exchange._api_async.set_markets(
        [market(pair(name)) for name in plan["currencies"]]
    )
    backtesting = Backtesting(config)
    strategy = backtesting.strategylist[0]
    backtesting._set_strategy(strategy)

    def work() -> dict[str, pd.DataFrame]:
        data, _ = backtesting.load_bt_data()
        found: dict[str, pd.DataFrame] = strategy.advise_all_indicators(data)
        return found

    def facts(found: dict[str, pd.DataFrame]) -> dict[str, Any]:
        rows = [
            frame.loc[frame["do_predict"] == 1, ["date", LABEL]].assign(currency=name.replace("/", ""))
            for name, frame in found.items()
        ]
        predicted = pd.concat(rows).rename(columns={"date": "time", LABEL: "predicted_return"})
        path = folder / "predicted.parquet"
        predicted.to_parquet(path)
        trained = [pd.read_pickle(one).shape for one in strategy.freqai.full_path.rglob("*_trained_df.pkl")]
        shutil.rmtree(strategy.freqai.full_path)
        return {"predictions": str(path), "trained": trained}

    serve(work, facts)


if __name__ == "__main__":
    main()
