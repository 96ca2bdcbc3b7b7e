"""Pictures are whole PNGs with something on them, whatever is put in."""

from __future__ import annotations

import base64
import io
import re
from collections.abc import Callable

import numpy as np
import polars as pl
import pytest
from matplotlib.image import imread

from cryptobot_assets.assets import pictures
from cryptobot_assets.contracts.factories import START, make_klines
from cryptobot_assets.domain.indicators import indicator_frame
from cryptobot_assets.domain.intervals import DAY
from cryptobot_assets.domain.ledger import COVERAGE_SCHEMA

HOURS = 24 * 60
FIRST = np.datetime64("2024-01-01T00", "us")


def indicators() -> pl.DataFrame:
    klines = make_klines(HOURS).select("currency", "time", "close")
    return indicator_frame(klines, "1h", START, START + 60 * DAY)


def returns(rows: int) -> pl.DataFrame:
    predicted, noise = np.random.default_rng(0).normal(0, 0.02, (2, rows))
    return pl.DataFrame({"predicted_return": predicted, "realised_return": 0.3 * predicted + noise})


def coverage(*, currencies: int, missing: int = 0) -> pl.DataFrame:
    """Ten days, all of them whole but one, of which the first currency misses some klines."""
    counts = dict.fromkeys(COVERAGE_SCHEMA, 0) | {"expected": 24, "stored": 24}
    rows = [
        {
            **counts,
            "currency": f"C{number:03}USDT",
            "time": START + day * DAY,
            "missing": missing * (day == number == 0),
        }
        for number in range(currencies)
        for day in range(10)
    ]
    return pl.DataFrame(rows, schema=COVERAGE_SCHEMA)


def of_markdown(text: str) -> bytes:
    return base64.b64decode(re.fullmatch(r"!\[[^\]]+\]\(data:image/png;base64,([\w+/=]+)\)", text)[1])


def require_picture(png: bytes) -> np.ndarray:
    """The pixels of a whole PNG that shows more than one colour."""
    assert png.startswith(b"\x89PNG\r\n\x1a\n") and png.endswith(b"IEND\xaeB`\x82")
    pixels = imread(io.BytesIO(png))
    assert pixels.shape[0] > 200 and pixels.shape[1] > 400
    colours = (pixels[..., :3] * 255).astype(np.uint32) @ np.array([1 << 16, 1 << 8, 1], np.uint32)
    assert len(np.unique(colours)) > 5
    return pixels


CURVES = {"ridge": (FIRST, np.linspace(1, 1.3, 40)), "lasso": (FIRST, np.linspace(1, 0.8, 40))}
PICTURES: dict[str, Callable[[], bytes]] = {
    "klines": lambda: of_markdown(pictures.kline_picture(make_klines(HOURS))),
    "one kline": lambda: of_markdown(pictures.kline_picture(make_klines(1))),
    "indicators": lambda: of_markdown(pictures.indicator_picture(indicators())),
    "indicators not known yet": lambda: of_markdown(pictures.indicator_picture(indicators().head(5))),
    "predictions": lambda: pictures.actual_against_predicted(returns(5000), "ALL ridge"),
    "three predictions": lambda: pictures.actual_against_predicted(returns(3), "ALL ridge"),
    "equity": lambda: pictures.equity_picture(CURVES, np.linspace(1, 1.1, 40)),
    "equity without control": lambda: pictures.equity_picture(CURVES, None),
    "no equity": lambda: pictures.equity_picture({}, None),
    "trials": lambda: pictures.trial_picture([0.3, float("nan"), 0.1], "ALL ridge"),
    "importance": lambda: pictures.importance_picture({f"feature {n}": 0.1 * n for n in range(33)}, "ALL ridge"),
    "coverage": lambda: of_markdown(pictures.coverage_picture(coverage(currencies=5))),
    "coverage of too many currencies": lambda: of_markdown(pictures.coverage_picture(coverage(currencies=200))),
    "coverage of one day": lambda: of_markdown(pictures.coverage_picture(coverage(currencies=1).head(1))),
    "no importance": lambda: pictures.importance_picture({"close_lag_1h": 0.0}, "ALL ridge"),
}


@pytest.mark.parametrize("name", PICTURES)
def test_it_is_a_whole_picture(name: str) -> None:
    require_picture(PICTURES[name]())


def test_other_figures_give_another_picture() -> None:
    same = [require_picture(PICTURES["equity"]()) for _ in range(2)]
    assert np.array_equal(*same)
    assert not np.array_equal(same[0], require_picture(PICTURES["equity without control"]()))


def test_a_day_that_misses_klines_is_seen_among_many() -> None:
    whole, lacking = (
        require_picture(of_markdown(pictures.coverage_picture(coverage(currencies=200, missing=missing))))
        for missing in (0, 1)
    )
    red = np.array([0xDC, 0x26, 0x26]) / 255
    legend, more = (int((np.abs(pixels[..., :3] - red).sum(axis=-1) < 0.01).sum()) for pixels in (whole, lacking))
    assert more > 2 * legend > 0


@pytest.mark.parametrize("picture", [pictures.kline_picture, pictures.indicator_picture])
def test_an_empty_range_is_told_in_words(picture: Callable[[pl.DataFrame], str]) -> None:
    empty = make_klines(1).clear() if picture is pictures.kline_picture else indicators().clear()
    assert picture(empty).startswith("No ")
