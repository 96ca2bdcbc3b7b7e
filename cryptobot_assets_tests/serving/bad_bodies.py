"""Bodies that are wrong in many ways, drawn from a seed, for every route that takes one."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator
from typing import Any

ODD: tuple[Any, ...] = (
    None, True, False, 0, -1, 1.5, 1e308, -1e308, 10**400, 2**63, "", "\u0000", "\ud800", "BTCUSDT" * 50, "NaN",
    "2024-13-45T99:99:99Z", "9999-12-31T23:59:59-23:59", "../../etc/passwd", "'; DROP TABLE klines; --", [], {}, [[]],
    {"": {}}, [None] * 20, {"rows": []}, "\u202e\u2066", "🚀" * 40, float("nan"), float("inf"), float("-inf"),
)  # fmt: skip
PIECES = (b"\x00", b"\xff\xfe", b"{", b"}", b"[" * 500, b'"', b",", b"NaN", b"1e999", b"\\u0000", b"\xf0\x28\x8c", b" ")

Mutation = Callable[[random.Random, dict[str, Any]], bytes]


def bad_bodies(count: int, features: list[str], seed: int = 0) -> Iterator[tuple[str, bytes]]:
    """Routes and bodies; nearly all are wrong, some by chance are not."""
    rng = random.Random(seed)
    good = {
        "/predict": {"currency": "BTCUSDT", "time": "2024-05-13T23:00:00Z"},
        "/predict_features": {"rows": [dict.fromkeys(features, 0.5)] * 2},
        "/predict_lasso": {"rows": [dict.fromkeys(features, 0.5)]},
        "/rank": {"top": 3},
    }
    for _ in range(count):
        route = rng.choice(list(good))
        yield route, rng.choice(MUTATIONS)(rng, good[route])


def encoded(body: Any) -> bytes:
    return json.dumps(body).encode("utf-8", "surrogatepass")


def odd_place(rng: random.Random, body: dict[str, Any]) -> bytes:
    """One value somewhere within replaced by something odd."""
    changed = json.loads(json.dumps(body))
    place: Any = changed
    while True:
        key = rng.choice(list(place) if isinstance(place, dict) else range(len(place)))
        if rng.random() < 0.5 or not isinstance(place[key], dict | list) or not place[key]:
            break
        place = place[key]
    place[key] = rng.choice(ODD)
    return encoded(changed)


def odd_key(rng: random.Random, body: dict[str, Any]) -> bytes:
    """A field too many, or one renamed."""
    changed = dict(body)
    if rng.random() < 0.5 and changed:
        changed.pop(rng.choice(list(changed)))
    odd = rng.choice([one for one in ODD if isinstance(one, str)])
    return encoded(changed | {odd: rng.choice(ODD)})


def odd_whole(rng: random.Random, _: dict[str, Any]) -> bytes:
    """Not an object at all."""
    return encoded(rng.choice(ODD))


def cut(rng: random.Random, body: dict[str, Any]) -> bytes:
    """Cut off somewhere."""
    whole = encoded(body)
    return whole[: rng.randrange(len(whole))]


def spliced(rng: random.Random, body: dict[str, Any]) -> bytes:
    """Bytes put in, or some overwritten."""
    whole = bytearray(encoded(body))
    for _ in range(rng.randint(1, 4)):
        at = rng.randrange(len(whole) + 1)
        whole[at : at + rng.choice((0, 0, 1, 5))] = rng.choice(PIECES)
    return bytes(whole)


def noise(rng: random.Random, _: dict[str, Any]) -> bytes:
    """Random bytes."""
    return rng.randbytes(rng.choice((1, 10, 200)))


def deep(rng: random.Random, _: dict[str, Any]) -> bytes:
    """Nested far too deep."""
    depth = rng.choice((100, 2_000, 20_000))
    return rng.choice((b'{"rows":', b'{"currency":', b"")) + b"[" * depth


MUTATIONS: tuple[Mutation, ...] = (odd_place, odd_place, odd_key, odd_whole, cut, spliced, spliced, noise, deep)
