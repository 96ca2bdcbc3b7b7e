"""Which champions have served, newest first: what a worker that starts while the registry names a broken one goes by.

<root>/.in-force/<market>.json   the last appointments whose models were loaded and checked by a worker
"""

from __future__ import annotations

import json
import tempfile
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

from cryptobot_assets.serving.lineup import Appointment, ModelVersion

KEPT_APPOINTMENTS = 10


class InForce:
    """A file of one market's champions; workers write the same into it, each whole."""

    def __init__(self, root: Path, market: str) -> None:
        self._path = root / ".in-force" / f"{quote(market, safe='')}.json"

    def appointments(self) -> list[Appointment]:
        """The champions that have served, the newest first; none when the file cannot be read."""
        try:
            return [_appointment(one) for one in json.loads(self._path.read_text())]
        except (OSError, ValueError, TypeError, KeyError):
            return []

    def note(self, champion: Appointment) -> None:
        """Remember that it serves now; raises `OSError` when that cannot be written."""
        known = self.appointments()
        if known[:1] == [champion]:
            return
        others = [one for one in known if one.model != champion.model]
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile("w", dir=self._path.parent, prefix=".", delete=False) as draft:
            json.dump([asdict(one) for one in (champion, *others)][:KEPT_APPOINTMENTS], draft, default=str)
        Path(draft.name).replace(self._path)


def _appointment(held: dict[str, Any]) -> Appointment:
    model = held["model"]
    version = ModelVersion(**{**model, "cutoff": datetime.fromisoformat(model["cutoff"])})
    return Appointment(**{**held, "model": version})
