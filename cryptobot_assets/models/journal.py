"""Finished trials of a tuning that may be killed, so that none is done twice.

A trial is one file, written whole or not at all. Tuning again with the same seed proposes the same
parameters in the same order, takes the results that are there and goes on from them: it ends as if
nothing had happened.
"""

from __future__ import annotations

import json
import shutil
import tempfile
import zipfile
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np

from cryptobot_assets.models.base import TrialRecord

PREDICTED = "predicted"
FACTS = tuple(one.name for one in fields(TrialRecord) if one.name != PREDICTED)


class TrialJournal:
    """The trials of one training in a folder of their own, which exists from the first trial to `clear`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def read(self) -> list[TrialRecord]:
        """The trials there are, from number 0 up to the first that is missing or cannot be read."""
        found: list[TrialRecord] = []
        while (record := self._read(len(found))) is not None:
            found.append(record)
        return found

    def write(self, record: TrialRecord) -> None:
        """Keep one trial; the same again replaces it."""
        self._folder.mkdir(parents=True, exist_ok=True)
        facts = {name: getattr(record, name) for name in FACTS}
        arrays: dict[str, Any] = {} if record.predicted is None else {PREDICTED: record.predicted}
        with tempfile.NamedTemporaryFile(dir=self._folder, prefix=".part-", delete=False) as part:
            np.savez(part, facts=np.array(json.dumps(facts)), **arrays)
        Path(part.name).replace(self._path(record.number))

    def clear(self) -> None:
        """Forget them all: their training is registered."""
        shutil.rmtree(self._folder, ignore_errors=True)

    def _path(self, number: int) -> Path:
        return self._folder / f"trial-{number:05}.npz"

    def _read(self, number: int) -> TrialRecord | None:
        try:
            with np.load(self._path(number), allow_pickle=False) as held:
                facts = json.loads(str(held["facts"]))
                predicted = held.get(PREDICTED)
            return TrialRecord(**facts | {"fold_values": tuple(facts["fold_values"])}, predicted=predicted)
        except (OSError, EOFError, ValueError, KeyError, TypeError, zipfile.BadZipFile):
            return None
