"""A worker ends when BentoML's supervisor does: killed outright, it would leave workers that hold the port."""

from __future__ import annotations

import signal
import sys

from cryptobot_assets.errors import ProcessError
from cryptobot_assets.linux import die_with_parent, parent_command

SUPERVISOR = "bentoml"
"""In the supervisor's own command line."""


def end_with_supervisor() -> None:
    """Have the kernel tell this worker to end (SIGTERM) when its supervisor has ended; on Linux alone.

    Raises:
        ProcessError: it ended while this worker was starting.
    """
    if sys.platform != "linux":
        return
    die_with_parent(signal.SIGTERM)
    if SUPERVISOR not in parent_command():
        raise ProcessError("BentoML's supervisor ended while this worker was starting")
