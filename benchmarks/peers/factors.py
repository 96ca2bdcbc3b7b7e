"""Fourteen factors of daily klines, as Qlib writes them; standard library alone.

The table of Qlib's data server says "14 features/factors" of OHLCV and names one, the deviation of five closes by
the close. The others are of the same kind, from its own Alpha158. A window not full yet takes what there is of it.
"""

from __future__ import annotations

FIELDS = ("open", "high", "low", "close", "volume")
SHORT, LONG, TINY = 5, 20, 1e-12
FACTORS = {
    "KMID": "($close-$open)/$open",
    "KLEN": "($high-$low)/$open",
    "KSFT": "(2*$close-$high-$low)/$open",
    "ROC5": f"Ref($close, {SHORT})/$close",
    "ROC20": f"Ref($close, {LONG})/$close",
    "MA5": f"Mean($close, {SHORT})/$close",
    "MA20": f"Mean($close, {LONG})/$close",
    "STD5": f"Std($close, {SHORT})/$close",
    "STD20": f"Std($close, {LONG})/$close",
    "MAX20": f"Max($high, {LONG})/$close",
    "MIN20": f"Min($low, {LONG})/$close",
    "RSV20": f"($close-Min($low, {LONG}))/(Max($high, {LONG})-Min($low, {LONG})+{TINY})",
    "VMA20": f"Mean($volume, {LONG})/($volume+{TINY})",
    "VSTD20": f"Std($volume, {LONG})/($volume+{TINY})",
}
