"""The part `feature_matrix`: the default features and the label of a whole history, by seven ways."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import polars as pl

from benchmarks.peers import lags
from benchmarks.peers.contest import Contest, Contestant, judge, take_turns
from benchmarks.peers.finding import Finding
from benchmarks.peers.place import Place
from benchmarks.peers.shown import agreement

STORED, KLINES, LIMIT = "ours, from stored indicators", "ours, from stored klines", "NumPy, closes in memory"
QLIB = "Qlib, {} kernel{}"


def feature_matrix(place: Place) -> list[Finding]:
    """33 features and the label of every row with all of them known, from what is stored to a matrix."""
    klines, lake, store = (str(path) for path in (place.klines, place.folder / "lake", place.folder / "qlib"))
    shown = [str(place.folder / f"shown-{way}.npz") for way in range(7)]
    qlib = [
        Contestant(
            QLIB.format(kernels, "s" * (kernels > 1)), "matrix_qlib", (klines, store, str(kernels), shown[kernels]),
            python=place.python("qlib"), aim=10, note="float32; caches off",
        )
        for kernels in (1, 2)
    ]  # fmt: skip
    contestants = (
        Contestant(STORED, "matrix_ours", (klines, lake, "indicators", shown[0])),
        Contestant(KLINES, "matrix_ours", (klines, lake, "klines", shown[3])),
        *qlib,
        Contestant("pandas", "matrix_pandas", (klines, shown[4]), note="from Parquet"),
        Contestant("DuckDB", "matrix_duckdb", (klines, shown[5]), note="from Parquet"),
        Contestant(
            LIMIT, "matrix_limit", (klines, shown[6]), aim=1 / 3, note="nothing read, nothing but these features"
        ),
    )
    rows = pl.scan_parquet(place.klines).select(pl.len(), pl.col("currency").n_unique()).collect()
    contest = Contest(
        "feature_matrix",
        "33 features and the label, from what is stored to a matrix",
        f"{rows.item(0, 0):,} hourly klines of {rows.item(0, 1)} currencies; two kernels where a way uses them",
        STORED,
        contestants,
        agree=agree,
    )
    answers = take_turns(contest, place.turns, place.told)
    others = tuple(replace(one, aim=5) for one in qlib)
    from_klines = replace(
        contest,
        key="feature_matrix_klines",
        title="33 features and the label, indicators made on the way",
        ours=KLINES,
        contestants=(contestants[1], *others, *(replace(one, aim=None) for one in contestants[4:])),
    )
    return [judge(contest, answers), judge(from_klines, answers)]


def agree(facts: Mapping[str, Mapping[str, Any]]) -> str:
    """The ways' sampled rows beside those of the first that is ours."""
    ours = next(name for name in (STORED, KLINES) if name in facts)
    return agreement(facts, ours, (*lags.NAMES, "label"), single="Qlib")
