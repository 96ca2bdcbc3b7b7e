"""How long a test waits for what must happen: only what never happens takes as long, however busy the machine is."""

from __future__ import annotations

PATIENCE_SECONDS = 240
