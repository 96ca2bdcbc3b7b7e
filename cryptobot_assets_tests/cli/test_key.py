"""Keys of the prediction service from the command line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cryptobot_assets.serving.keys import KeyRing
from cryptobot_assets_tests.cli.conftest import Run


def test_the_command_makes_lists_and_revokes(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "keys.json"
    assert run("key", "list").code == 2
    monkeypatch.setenv("CRYPTOBOT_API_KEYS_FILE", str(path))
    made = run("key", "new", "alice")
    assert made.code == 0
    ring = KeyRing(None, path)
    assert ring.demanded and ring.holder(made.out.strip().encode()) == "alice"
    assert run("key", "new", "alice").code == 2
    assert run("key", "list").out.startswith("alice ")
    assert run("key", "revoke", "alice").code == 0
    assert json.loads(path.read_text()) == {"keys": []}
    assert KeyRing(None, path).holder(made.out.strip().encode()) is None
