"""The figures of the last evaluation, as its page holds them."""

from __future__ import annotations

from pathlib import Path

from cryptobot_assets.dashboard import champions


def test_the_last_report_is_read_from_its_page(tmp_path: Path) -> None:
    page = tmp_path / "ALL.html"
    assert champions.last_report(page) is None
    page.write_text(f"<html>{champions.OPENING}" + '{"words": ["none"]}</script></html>')
    assert champions.last_report(page) == {"words": ["none"]}
    page.write_text("<html></html>")
    assert champions.last_report(page) is None
