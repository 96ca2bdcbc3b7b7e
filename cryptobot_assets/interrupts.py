"""Interrupts that Python loses are sent again."""

from __future__ import annotations

import os
import signal
import sys
import threading

AGAIN_SECONDS = 0.05


def keep_interrupts() -> None:
    """From now on an interrupt that strikes where nothing can be raised comes again a moment later.

    Python runs a signal's handler wherever it happens to be. What is raised in a finalizer or a weak
    reference's callback is only printed, and Ctrl-C would have been for nothing.
    """
    told = sys.unraisablehook

    def hook(lost: sys.UnraisableHookArgs) -> None:
        if not isinstance(lost.exc_value, KeyboardInterrupt):
            told(lost)
            return
        again = threading.Timer(AGAIN_SECONDS, os.kill, (os.getpid(), signal.SIGINT))
        again.daemon = True
        again.start()

    sys.unraisablehook = hook
