"""The figures of the last evaluation, as its page holds them."""

from __future__ import annotations

from pathlib import Path

from cryptobot_assets.page.last import OPENING, last_report


def test_the_last_report_is_read_from_its_page(tmp_path: Path) -> None:
    page = tmp_path / "ALL.html"
    assert last_report(page) is None
    page.write_text(f"<html>{OPENING}" + '{"words": ["none"]}</script></html>')
    assert last_report(page) == {"words": ["none"]}
    page.write_text("<html></html>")
    assert last_report(page) is None
