"""The GraphQL texts that the pages of the installed Dagster webserver send, read out of its own scripts."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

import dagster_webserver

SCRIPTS = Path(dagster_webserver.__file__).parent / "webapp" / "build" / "_next" / "static" / "chunks"
TEXT = re.compile(r'"(\\n\s*(?:query|mutation|fragment) (\w+)(?:[^"\\]|\\.)*)"')
SPREAD = re.compile(r"\.\.\.\s*([A-Z]\w*)")


@cache
def texts() -> dict[str, str]:
    """Every query, mutation and fragment by name."""
    found = {}
    for script in sorted(SCRIPTS.glob("*.js")):
        for match in TEXT.finditer(script.read_text(errors="replace")):
            found[match[2]] = match[1].encode().decode("unicode_escape")
    return found


def ui_query(name: str) -> str:
    """A query or mutation with the fragments it needs."""
    needed, ahead = {name: texts()[name]}, [name]
    while ahead:
        for fragment in SPREAD.findall(needed[ahead.pop()]):
            if fragment in texts() and fragment not in needed:
                needed[fragment] = texts()[fragment]
                ahead.append(fragment)
    return "\n".join(needed.values())
