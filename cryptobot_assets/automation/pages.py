"""Addresses of Dagster's pages, for people who read a message."""

from __future__ import annotations

from dataclasses import dataclass

from cryptobot_assets.settings import Settings


@dataclass(frozen=True)
class Pages:
    """Pages below one address."""

    base: str

    @classmethod
    def of(cls, settings: Settings) -> Pages:
        """Where the settings say people open them: on this machine unless told."""
        return cls((settings.webserver_url or f"http://127.0.0.1:{settings.webserver_port}").rstrip("/"))

    def run(self, run_id: str) -> str:
        """One run."""
        return f"{self.base}/runs/{run_id}"

    def asset(self, asset: str) -> str:
        """One asset."""
        return f"{self.base}/assets/{asset}"

    @property
    def automation(self) -> str:
        """Every schedule and sensor."""
        return f"{self.base}/automation"
