"""One row a request, answered by our service, `mlflow models serve`, BentoML's own way, FastAPI and a bare app."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from benchmarks.peers.contest import Contest, Contestant, Outcome, judge
from benchmarks.peers.place import Place
from benchmarks.servers import Alive, all_alive, make_world

CONNECTIONS = (1, 16, 64)
OURS = "ours: the prediction service"
WAYS = {
    OURS: ("ours", None, "keys, limits, checks of the input, a log of predictions, metrics"),
    "mlflow models serve": ("mlflow", 10.0, ""),
    "BentoML, a typed method, its defaults": ("bentoml", None, ""),
    "FastAPI under uvicorn, typed": ("fastapi", None, ""),
    "bare: Starlette and msgspec, nothing checked": ("bare", 1 / 3, ""),
}
CLOSENESS = 1e-6


def serving(place: Place) -> list[Outcome]:
    """One row a request at 1, 16 and 64 connections, beside mlflow models serve, BentoML's own way, FastAPI, bare."""
    seconds = place.size.load_seconds
    with all_alive(make_world(place.folder, workers=1, versions=1), min(2.0, seconds)) as alive:
        return [_outcome(alive, place, number, seconds) for number in CONNECTIONS]


def _outcome(alive: Alive, place: Place, number: int, seconds: float) -> Outcome:
    """Everyone loaded in turn, so many turns, over so many connections."""
    answers: dict[str, list[dict[str, Any]]] = {name: [] for name in WAYS}
    for turn in range(place.turns):
        for name, (key, _, _) in WAYS.items():
            answers[name].append(_answer(alive, key, number, seconds))
            told = answers[name][-1]["note"]
            place.told(f"serving at {number}: turn {turn + 1} of {place.turns}, {name}: {told}")
    contest = Contest(
        key=f"serving_{number}",
        title=f"A prediction served, {number} connection{'s' * (number > 1)}",
        setting=f"one row of 33 features a request, ridge, a worker each, {seconds:g} s a load from a process on the "
        "same machine; seconds a reply are 1 / replies a second, CPU the server's a reply, memory the server's",
        ours=OURS,
        contestants=tuple(Contestant(name, key, aim=aim, note=note) for name, (key, aim, note) in WAYS.items()),
        agree=same_answer,
    )
    return judge(contest, answers)


def _answer(alive: Alive, key: str, number: int, seconds: float) -> dict[str, Any]:
    loaded = alive.load(key, number, seconds)
    figures = loaded.found.figures()
    if not figures["per_second"] or loaded.found.failures:
        raise RuntimeError(f"{key} failed {loaded.found.failures} requests at {number} connections")
    return {
        "seconds": 1 / figures["per_second"], "cpu_seconds": loaded.cpu_seconds, "peak_mb": loaded.memory_mb,
        "predicted": alive.answer(key), **figures,
        "note": f"{figures['per_second']:,.0f}/s, p50 {figures['p50_ms']:.2f} ms, p99 {figures['p99_ms']:.2f} ms",
    }  # fmt: skip


def same_answer(facts: Mapping[str, Mapping[str, Any]]) -> str:
    """Whether everyone predicts the same of the row.

    Raises:
        RuntimeError: somebody does not.
    """
    ours = facts[OURS]["predicted"]
    for name, found in facts.items():
        if abs(found["predicted"] - ours) > CLOSENESS * abs(ours):
            raise RuntimeError(f"{name} predicts {found['predicted']}, ours {ours}")
    return "all predict the same of the row"
