"""The figures of the last evaluation of a market, as its page holds them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

OPENING = '<script type="application/json" id="report">'


def last_report(page: Path) -> dict[str, Any] | None:
    """The figures of the newest report page of a market, None where no evaluation has written one."""
    if not page.is_file():
        return None
    text = page.read_text(encoding="utf-8")
    _, found, rest = text.rpartition(OPENING)
    return json.loads(rest.partition("</script>")[0]) if found else None
