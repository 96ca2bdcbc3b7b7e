"""Headless Chromium, for what is tested as a person uses it. The one home of Playwright."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Page, ViewportSize, expect, sync_playwright

from cryptobot_assets_tests.patience import PATIENCE_SECONDS

PATIENCE_MS = PATIENCE_SECONDS * 1_000
SETTLE_MS = 500
"""Of an animation, before a picture."""
FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


@contextmanager
def opened_page(chromium: str, *, base_url: str, viewport: ViewportSize) -> Iterator[Page]:
    """A fresh page, which waits for what is looked for as long as a busy machine may need."""
    expect.set_options(timeout=PATIENCE_MS)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=list(FLAGS), timeout=PATIENCE_MS)
        page = browser.new_page(viewport=viewport, base_url=base_url)
        page.set_default_timeout(PATIENCE_MS)
        yield page
        browser.close()


def keep_picture(page: Page, name: str) -> None:
    """Write a picture of the page into the folder that CRYPTOBOT_SCREENSHOTS names; nothing where it names none."""
    folder = os.environ.get("CRYPTOBOT_SCREENSHOTS")
    if folder:
        page.wait_for_timeout(SETTLE_MS)
        Path(folder).mkdir(parents=True, exist_ok=True)
        page.screenshot(path=Path(folder, f"{name}.png"))
