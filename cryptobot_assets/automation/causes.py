"""The first cause of a failure, out of the chain of errors that Dagster recorded."""

from __future__ import annotations

import re
from dataclasses import dataclass

from dagster._utils.error import SerializableErrorInfo

OUR_ERROR = re.compile(r"^cryptobot_assets\.[\w.]+: ")
"""What Dagster puts before the message of an error of ours, which speaks for itself."""

LONGEST_REASON = 300


@dataclass(frozen=True)
class Cause:
    """Why something failed.

    Attributes:
        kind: name of the error's class.
        reason: its message, in one line.
        ours: whether it is an error of this platform's own.
    """

    kind: str
    reason: str
    ours: bool


def first_cause(error: SerializableErrorInfo) -> Cause:
    """The error of ours in the chain, else the first one of all."""
    chain = [error]
    while chain[-1].cause is not None:
        chain.append(chain[-1].cause)
    told = next((one for one in chain if OUR_ERROR.match(one.message)), chain[-1])
    line = (told.message.strip().splitlines() or [told.cls_name or "unknown"])[0]
    kind = told.cls_name or "Exception"
    return Cause(kind, OUR_ERROR.sub("", line)[:LONGEST_REASON], bool(OUR_ERROR.match(line)))
