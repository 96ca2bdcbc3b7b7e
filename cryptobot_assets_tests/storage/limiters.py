"""What an exchange sees of those that ask it."""

from __future__ import annotations

from dataclasses import replace

from cryptobot_assets.exchange.limits import Spent, WeightLimiter
from cryptobot_assets.storage.weight_file import boot_seconds


class Logged(WeightLimiter):
    """Keeps when it was asked and what it said; bans for some seconds at the n-th request, once.

    It never tells how much weight was used, so that nobody can do right by hearing of it.
    """

    def __init__(self, *, ban_at: int = 0, ban_seconds: int = 0, **options: object) -> None:
        super().__init__(**options)
        self.log: list[tuple[float, int]] = []
        self._ban_at = ban_at
        self._ban_seconds = ban_seconds

    def spend(self, address: str, weight: int) -> Spent:
        spent = replace(super().spend(address, weight), used=0)
        if len(self.log) + 1 == self._ban_at:
            spent = Spent(0, 418, self._ban_seconds)
        self.log.append((boot_seconds(), spent.status))
        return spent

    @property
    def refused(self) -> list[float]:
        return [at for at, status in self.log if status != 200]
