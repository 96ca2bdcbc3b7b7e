"""Our walk forward as a contestant, of the platform's own parts: lake, indicators, samples, fit, predictions.

    python -m benchmarks.peers.our_loop PLAN.json KLINES.parquet FOLDER

Per turn: the indicators of every currency are computed of stored klines and stored; per currency and cutoff the
training rows are read, a model is fitted and saved, and it predicts the period that follows; a currency's rows that
are predicted are read together and their predictions stored, as the asset of predictions does.
"""

from __future__ import annotations

import json
import shutil
import sys
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from benchmarks.peers.contestant import serve
from cryptobot_assets.assets.features import indicate
from cryptobot_assets.audit.pipeline import naive
from cryptobot_assets.domain.samples import Samples
from cryptobot_assets.domain.sources import Span
from cryptobot_assets.models.base import FittedModel
from cryptobot_assets.models.preparation import TrainingRows, fit_prepared
from cryptobot_assets.models.xgboost_trees import XGBOOST
from cryptobot_assets.storage.lake import Lake
from cryptobot_assets.storage.samples import SampleReader
from cryptobot_assets.storage.store import KLINES, PREDICTIONS

INTERVAL = "1h"


@dataclass(frozen=True)
class Walk:
    """Where models are trained, and of what."""

    plan: dict[str, Any]
    lake: Lake
    folder: Path

    @property
    def cutoffs(self) -> list[datetime]:
        """First instants of the periods that are predicted; the end of the last one too."""
        first, end = (datetime.strptime(self.plan[name], "%Y%m%d").replace(tzinfo=UTC) for name in ("first", "end"))
        period = timedelta(days=self.plan["period_days"])
        return [first + place * period for place in range((end - first) // period + 1)]

    def currency(self, name: str, span: Span) -> list[int]:
        """Everything of one currency; returns the rows each model learned from."""
        indicate(span, INTERVAL, self.lake)
        reader, features = SampleReader(self.lake, INTERVAL, [name]), tuple(self.plan["features"])
        train, trained, parts = timedelta(days=self.plan["train_days"]), [], []
        asked = reader.read(features, [name], self.cutoffs[0], self.cutoffs[-1])
        for number, (cutoff, until) in enumerate(zip(self.cutoffs, self.cutoffs[1:], strict=False)):
            known = reader.read(features, [name], cutoff - train, cutoff, known_until=cutoff)
            known = known.take(np.isfinite(known.y))
            rows = TrainingRows.of(known, known.y)
            model = fit_prepared(XGBOOST, rows, params=self.plan["ours"], seed=self.plan["seed"])
            place = self.folder / "models" / name / str(number)
            place.mkdir(parents=True)
            model.save(place)
            inside = (asked.time >= naive(cutoff)) & (asked.time < naive(until))
            parts.append(predicted(asked.take(inside), model, number, cutoff))
            trained.append(len(rows))
        self.lake.replace(
            PREDICTIONS, pl.concat(parts), start=self.cutoffs[0], end=self.cutoffs[-1], market=name, currency=name
        )
        return trained


def predicted(rows: Samples, model: FittedModel, number: int, cutoff: datetime) -> pl.DataFrame:
    """Rows of the table of predictions."""
    frame = pl.DataFrame(
        {
            "currency": rows.currency.astype(str), "time": rows.time, "predicted_return": model.predict(rows.X),
            "realised_return": rows.y,
        }
    )  # fmt: skip
    return frame.with_columns(
        pl.col("time").dt.replace_time_zone("UTC"), pl.col("realised_return").fill_nan(None),
        market=pl.col("currency"), algorithm=pl.lit("xgboost"), version=pl.lit(str(number)), cutoff=pl.lit(cutoff),
    )  # fmt: skip


def main() -> None:
    """Store klines once, then walk forward at every turn in a store that holds them alone."""
    plan, folder = json.loads(Path(sys.argv[1]).read_text()), Path(sys.argv[3])
    klines = pl.read_parquet(sys.argv[2]).filter(pl.col("currency").is_in(plan["currencies"]))
    stored = klines.with_columns(quote_volume=None, trades=None, source=pl.lit("replay"))
    Lake(str(folder / "stored")).replace(KLINES, stored, start=None, end=None, currency=plan["currencies"])
    days = klines.select(first=pl.col("time").min().dt.truncate("1d"), last=pl.col("time").max().dt.truncate("1d"))
    first, end = days["first"].item(), days["last"].item() + timedelta(days=1)
    turn = folder / "turn"

    def made_ready() -> Walk:
        shutil.rmtree(turn, ignore_errors=True)
        shutil.copytree(folder / "stored", turn / "lake")
        return Walk(plan, Lake(str(turn / "lake")), turn)

    walks = [made_ready()]

    def work() -> list[int]:
        return [rows for name in plan["currencies"] for rows in walks[-1].currency(name, Span(name, first, end))]

    def facts(trained: list[int]) -> dict[str, Any]:
        path = folder / "predicted.parquet"
        columns = ["currency", "time", "predicted_return", "realised_return"]
        walks.pop().lake.read(PREDICTIONS, columns=columns).write_parquet(path)
        walks.append(made_ready())
        return {"predictions": str(path), "trained": [(rows, len(plan["features"])) for rows in trained]}

    serve(work, facts)


if __name__ == "__main__":
    main()
