"""Secrets in files: read as the variables they stand for, and named when they cannot be."""

from __future__ import annotations

from pathlib import Path

import pytest

from cryptobot_assets.errors import UsageError
from cryptobot_assets.secret_files import SECRETS, secrets_in_files


def test_a_file_stands_for_its_variable(tmp_path: Path) -> None:
    (tmp_path / "key").write_text(" s3cret\n")
    given = {"CRYPTOBOT_API_KEY_FILE": str(tmp_path / "key"), "CRYPTOBOT_API_KEYS_FILE": "keys.json", "HOME": "/root"}
    assert secrets_in_files(given) == {"CRYPTOBOT_API_KEY": "s3cret"}
    assert secrets_in_files({**given, "CRYPTOBOT_API_KEY": "s3cret"}) == {"CRYPTOBOT_API_KEY": "s3cret"}
    assert secrets_in_files({f"{name}_FILE": str(tmp_path / "key") for name in SECRETS}).keys() == set(SECRETS)
    assert secrets_in_files({"CRYPTOBOT_API_KEY_FILE": ""}) == {}


@pytest.mark.parametrize(("content", "reason"), [(None, "No such file"), ("\n", "is empty"), ("other", "not both")])
def test_what_cannot_be_read_or_is_said_twice_is_named(tmp_path: Path, content: str | None, reason: str) -> None:
    if content is not None:
        (tmp_path / "key").write_text(content)
    given = {"AWS_SECRET_ACCESS_KEY_FILE": str(tmp_path / "key"), "AWS_SECRET_ACCESS_KEY": "s3cret"}
    with pytest.raises(UsageError, match=f"AWS_SECRET_ACCESS_KEY_FILE.*{reason}") as refusal:
        secrets_in_files(given)
    assert "s3cret" not in str(refusal.value) and "other" not in str(refusal.value)
