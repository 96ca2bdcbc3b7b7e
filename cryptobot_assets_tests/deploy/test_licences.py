"""Licences of what is installed, and that the check of them can fail."""

from __future__ import annotations

import importlib.util
import sys
from email.message import Message
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest

SCRIPT = Path(__file__).resolve().parents[2] / "deploy" / "licences.py"


@pytest.fixture(scope="module")
def licences() -> ModuleType:
    spec = importlib.util.spec_from_file_location("licences", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def package(**said: str) -> SimpleNamespace:
    metadata = Message()
    for name, value in said.items():
        metadata[name.replace("_", "-")] = value
    return SimpleNamespace(metadata=metadata)


def test_everything_installed_may_be_used(
    licences: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["licences.py"])
    assert licences.main() == 0, capsys.readouterr().out


@pytest.mark.parametrize(
    ("said", "told", "allowed"),
    [
        ({"License_Expression": "MIT OR GPL-3.0-only"}, "MIT OR GPL-3.0-only", True),
        ({"License_Expression": "MIT AND GPL-3.0-only"}, "MIT AND GPL-3.0-only", False),
        ({"Classifier": "License :: OSI Approved :: Apache Software License"}, "Apache-2.0", True),
        ({"License": "GNU AGPL v3"}, "GNU AGPL v3", False),
        ({"License": "\nBSD License\nCopyright ..."}, "BSD-3-Clause", True),
        ({"Name": "silent"}, "", False),
    ],
)
def test_a_licence_is_what_the_package_says(
    licences: ModuleType, said: dict[str, str], told: str, *, allowed: bool
) -> None:
    assert licences.licence_of(package(**said)) == told
    assert licences.is_allowed(told) is allowed
