"""An interrupt that strikes in a finalizer is not lost."""

from __future__ import annotations

import subprocess
import sys

import pytest

LOSES_THE_FIRST = """
import signal, sys, time
from cryptobot_assets.interrupts import keep_interrupts

class Finalized:
    def __del__(self):
        signal.raise_signal(signal.SIGINT)

if sys.argv[1] == "kept":
    keep_interrupts()
del_me = Finalized()
try:
    del del_me
    time.sleep(1)
    print("went on")
except KeyboardInterrupt:
    print("stopped")
"""


@pytest.mark.parametrize(("way", "said"), [("kept", "stopped"), ("plain", "went on")])
def test_an_interrupt_in_a_finalizer_comes_again(way: str, said: str) -> None:
    done = subprocess.run([sys.executable, "-c", LOSES_THE_FIRST, way], capture_output=True, text=True, timeout=60)
    assert done.stdout.strip() == said
    assert ("Exception ignored" in done.stderr) == (way == "plain")


def test_other_things_that_cannot_be_raised_are_told_as_before() -> None:
    code = LOSES_THE_FIRST.replace("signal.raise_signal(signal.SIGINT)", "raise ValueError('lost')")
    done = subprocess.run([sys.executable, "-c", code, "kept"], capture_output=True, text=True, timeout=60)
    assert done.stdout.strip() == "went on"
    assert "ValueError: lost" in done.stderr
