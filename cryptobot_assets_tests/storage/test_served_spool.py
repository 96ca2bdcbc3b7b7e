"""Served predictions on their way to the store: whole, once, whatever ends in between."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from polars.testing import assert_frame_equal

from cryptobot_assets.contracts.factories import START
from cryptobot_assets.domain.served import make_prediction_id
from cryptobot_assets.errors import StoreError, UsageError
from cryptobot_assets.storage.lake import Lake
from cryptobot_assets.storage.served_spool import (
    Emptied,
    Entry,
    Served,
    SpoolFile,
    as_rows,
    empty_spool,
    find_served,
    is_empty,
)
from cryptobot_assets.storage.store import SERVED_PREDICTIONS, Store


def make_served(number: int = 0, *, role: str = "champion", currencies: tuple[str, ...] = ("BTCUSDT",)) -> Served:
    served_at = START + timedelta(seconds=number)
    return Served(
        prediction_id=make_prediction_id(served_at, number.to_bytes(10)), role=role, served_at=served_at,
        route="/predict", market="ALL", algorithm="ridge", version="3", registered_name="cryptobot-ALL-ridge",
        verdict="passed", entries=tuple(Entry(name, 0.01 * number, -0.03, 0.05) for name in currencies),
        caller="alice", time=START, known_at=START + timedelta(hours=1),
    )  # fmt: skip


@pytest.fixture
def store(tmp_path: Path) -> Lake:
    return Lake(str(tmp_path / "lake"))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "served"


def spool(folder: Path, *replies: Served) -> SpoolFile:
    file = SpoolFile(folder, START)
    file.append(replies)
    return file


def test_finished_files_are_moved_and_those_being_written_are_left(store: Store, folder: Path) -> None:
    rank = make_served(2, role="shadow", currencies=("ETHUSDT", "BTCUSDT"))
    rows = Served(**{name: getattr(make_served(3), name) for name in Served.__struct_fields__} | {"entries": ()})
    spool(folder, make_served(1), rank, rows).close()
    live = spool(folder, make_served(4))
    assert empty_spool(folder, store) == Emptied(files=1, rows=4)
    stored = store.read(SERVED_PREDICTIONS)
    assert_frame_equal(stored, as_rows([make_served(1), rank, rows]))
    assert stored.row(1, named=True)["currency"] == "ETHUSDT", "positions keep the order of the reply"
    assert stored["predicted_return"].to_list() == [0.01, 0.02, 0.02, None]
    live.append([make_served(5)])
    live.close()
    assert empty_spool(folder, store).rows == 2
    assert store.read(SERVED_PREDICTIONS).height == 6
    assert is_empty(folder)


def test_a_move_cut_short_and_run_again_leaves_one_copy(
    store: Store, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spool(folder, make_served(1), make_served(2)).close()
    with monkeypatch.context() as patched, pytest.raises(OSError, match="killed"):
        patched.setattr(Path, "unlink", lambda path: (_ for _ in ()).throw(OSError("killed")))
        empty_spool(folder, store)
    assert not is_empty(folder)
    empty_spool(folder, store)
    assert store.read(SERVED_PREDICTIONS).height == 2


def test_a_store_that_is_away_costs_nothing(folder: Path, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    spool(folder, make_served(1)).close()
    with monkeypatch.context() as patched, pytest.raises(StoreError):
        patched.setattr(Lake, "replace", lambda *_, **__: (_ for _ in ()).throw(StoreError("away")))
        empty_spool(folder, store)
    assert empty_spool(folder, store).rows == 1


def test_a_line_cut_off_by_a_crash_is_no_line_and_damaged_lines_are_kept(store: Store, folder: Path) -> None:
    file = spool(folder, make_served(1), make_served(2))
    file.close()
    whole = file.path.read_bytes()
    file.path.write_bytes(whole[:-20])
    assert empty_spool(folder, store) == Emptied(files=1, rows=1, cut_off=1)
    file.path.write_bytes(b'{"prediction_id": 7}\n' + whole)
    assert empty_spool(folder, store) == Emptied(files=1, rows=2, unreadable=1)
    assert file.path.with_suffix(".unreadable").read_bytes() == b'{"prediction_id": 7}\n'
    assert store.read(SERVED_PREDICTIONS).height == 2


def test_a_prediction_is_found_by_its_id_before_and_after_it_is_stored(store: Store, folder: Path) -> None:
    reply, shadow = make_served(1), make_served(1, role="shadow")
    live = spool(folder, reply, make_served(2), shadow)
    before = find_served(store, folder, reply.prediction_id)
    assert before["role"].to_list() == ["champion", "shadow"]
    live.close()
    empty_spool(folder, store)
    assert_frame_equal(find_served(store, folder, reply.prediction_id.upper()), before)
    assert find_served(store, folder, make_served(9).prediction_id).is_empty()
    for wrong in ("", "7", "x" * 32, "f" * 32):
        with pytest.raises(UsageError, match="no prediction's id"):
            find_served(store, folder, wrong)
