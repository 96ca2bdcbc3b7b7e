"""Another package beside ours, as an installer leaves it: modules, and metadata that name its entry points."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

from cryptobot_assets.cli.plugins import catalogues


@contextmanager
def installed(
    folder: Path, modules: Mapping[str, str], entry_points: str, *, name: str = "rebound", version: str = "0.3"
) -> Iterator[None]:
    """The package is on the path for the length of the block; nothing of it is left afterwards."""
    for path, text in modules.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text)
    metadata = folder / f"{name}-{version}.dist-info"
    metadata.mkdir(parents=True)
    (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    (metadata / "entry_points.txt").write_text(entry_points)
    before = set(sys.modules)
    tops = {path.split("/")[0].removesuffix(".py") for path in modules}
    try:
        with pytest.MonkeyPatch.context() as patch:
            patch.syspath_prepend(str(folder))
            _look_again()
            yield
    finally:
        for module in set(sys.modules) - before:
            if module.split(".")[0] in tops:
                del sys.modules[module]
        _look_again()


def _look_again() -> None:
    for catalogue in catalogues():
        catalogue.forget()
