"""A contestant: a program that gets ready once and then works each time it is told to.

Only the standard library, since contestants run in environments of their own. It reads lines on standard input:
`run` is answered by one line of JSON, `{"seconds", "peak_mb", "cpu_seconds"}` and what the work returned; the end of
the input ends it. Its first line, once it is ready, is `{"ready": true}`. Whatever libraries print goes to standard
error.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

KILOBYTES_A_MEGABYTE = 1024
STATUS = Path("/proc/self/status")
OWN_PEAK, FORGET = Path("/proc/self/clear_refs"), "5"
"""What makes Linux begin anew with a process's peak; `ru_maxrss` begins with that of whoever started the process."""


def serve(work: Callable[[], Any], facts: Callable[[Any], dict[str, Any]] = lambda found: found) -> None:
    """Answer standard input until it ends.

    Args:
        work: does the measured thing once.
        facts: tells of what `work` returned, off the clock; `note` among them is shown in the table. Without it
            `work` returns them.
    """
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    print(json.dumps({"ready": True}), file=answers)
    for _ in sys.stdin:
        OWN_PEAK.write_text(FORGET)
        cpu, began = _cpu_seconds(), time.perf_counter()
        found = work()
        seconds = time.perf_counter() - began
        figures = {"seconds": seconds, "cpu_seconds": _cpu_seconds() - cpu, "peak_mb": _peak_mb(), **facts(found)}
        print(json.dumps(figures), file=answers)
        del found


def _cpu_seconds() -> float:
    """User and system seconds of this process and of the children that ended."""
    spent = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(one.ru_utime + one.ru_stime for one in spent)


def _peak_mb() -> float:
    """The largest resident size of this process during the work, or of one of its children that ended."""
    own = next(line for line in STATUS.read_text().splitlines() if line.startswith("VmHWM:"))
    return max(int(own.split()[1]), resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss) / KILOBYTES_A_MEGABYTE
