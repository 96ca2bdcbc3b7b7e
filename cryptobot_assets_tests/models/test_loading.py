from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from cryptobot_assets.contracts.models import FEATURES, fit_default, make_card, make_returns
from cryptobot_assets.errors import RegistryError
from cryptobot_assets.models.card import CARD_FILE, digest, write_model
from cryptobot_assets.models.loading import load_scorer, warm_up


@pytest.fixture(params=["ridge", "xgboost", "catboost"])
def saved(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    model = fit_default(request.param, *make_returns(rows=300))
    write_model(model, make_card(model, algorithm=request.param), tmp_path)
    return tmp_path


def edit_card(folder: Path, **changes: object) -> None:
    facts = json.loads((folder / CARD_FILE).read_text())
    (folder / CARD_FILE).write_text(json.dumps(facts | changes))


def model_file(folder: Path) -> Path:
    return folder / json.loads((folder / CARD_FILE).read_text())["model"]["file"]


def test_the_card_comes_back_as_it_was_written(tmp_path: Path) -> None:
    model = fit_default("lasso", *make_returns(rows=300))
    card = make_card(model, algorithm="lasso", market="BTCUSDT")
    write_model(model, card, tmp_path)
    assert load_scorer(tmp_path).card == card
    written = json.loads((tmp_path / CARD_FILE).read_text())
    assert written["features"] == list(FEATURES)
    assert written["cutoff"] == "2024-01-01T00:00:00+00:00"
    assert len(written["warmup"]["rows"]) == len(written["warmup"]["predictions"]) == 3


def test_a_damaged_model_file_is_refused(saved: Path) -> None:
    content = bytearray(model_file(saved).read_bytes())
    content[len(content) // 2] ^= 0xFF
    model_file(saved).write_bytes(content)
    with pytest.raises(RegistryError, match="missing or damaged"):
        load_scorer(saved)


def test_a_file_its_library_cannot_read_is_refused(saved: Path) -> None:
    path = model_file(saved)
    path.write_bytes(b"not a model at all")
    facts = json.loads((saved / CARD_FILE).read_text())["model"]
    edit_card(saved, model=facts | {"sha256": digest(path)})
    with pytest.raises(RegistryError, match=r"cannot be loaded: \w+"):
        load_scorer(saved)


def test_a_model_that_answers_differently_is_refused(saved: Path) -> None:
    rows = [list(row) for row in make_returns(rows=3, seed=9)[0]]
    edit_card(saved, warmup={"rows": rows, "predictions": [0.5, 0.5, 0.5]})
    with pytest.raises(RegistryError, match="does not repeat its warm-up predictions"):
        warm_up(load_scorer(saved))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"cutoff": "yesterday"}, "cannot be read"),
        ({"features": None}, "cannot be read"),
        ({"model": {"flavor": "sklearn", "file": CARD_FILE, "sha256": "0"}}, "missing or damaged"),
        ({"warmup": {"rows": [], "predictions": []}}, "no warm-up rows"),
        ({"features": ["only_one"]}, "fails on its warm-up rows"),
    ],
)
def test_a_card_that_makes_no_sense_is_refused(saved: Path, changes: dict[str, object], message: str) -> None:
    edit_card(saved, **changes)
    with pytest.raises(RegistryError, match=message):
        warm_up(load_scorer(saved))


def test_a_pickled_flavour_is_never_loaded(saved: Path) -> None:
    pickle = saved / "model.pkl"
    pickle.write_bytes(b"cos\nsystem\n(S'touch harm'\ntR.")
    edit_card(saved, model={"flavor": "sklearn", "file": "model.pkl", "sha256": digest(pickle)})
    with pytest.raises(RegistryError, match="format 'sklearn', which nothing here reads"):
        load_scorer(saved)


def test_an_empty_folder_is_no_model(tmp_path: Path) -> None:
    with pytest.raises(RegistryError, match=r"no cryptobot\.json"):
        load_scorer(tmp_path)


def test_rows_of_another_width_are_refused(saved: Path) -> None:
    with pytest.raises(ValueError, match=r"shape \(2, 4\) given to a model of 5 features"):
        load_scorer(saved).predict(np.zeros((2, 4)))
