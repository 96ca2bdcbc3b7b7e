"""Whether an address answers: the health check of containers, which have no curl. Standard library alone.

`python -m cryptobot_assets.health_check http://127.0.0.1:3000/livez` exits with 0 when the answer is below 400.
"""

from __future__ import annotations

import sys
import urllib.request
from urllib.error import URLError

PATIENCE_SECONDS = 5
DIRECT = urllib.request.ProxyHandler({})
"""Proxies of the environment are not asked."""


def answers(url: str) -> bool:
    """Whether the address answers within a few seconds with a status below 400."""
    try:
        with urllib.request.build_opener(DIRECT).open(url, timeout=PATIENCE_SECONDS):
            return True
    except (URLError, OSError):
        return False


if __name__ == "__main__":
    sys.exit(not answers(sys.argv[1]))
