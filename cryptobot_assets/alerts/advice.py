"""What to do about an error, by its class."""

from __future__ import annotations

from cryptobot_assets import errors

HEALS = "nothing if it passes: the next tick fills what is missing"
ADVICE = {
    "CryptobotError": "read the run's page, and run it again from there once it is mended",
    "UsageError": "correct the setting that the cause names, and start the platform again",
    "BadKlines": "nothing was stored; look at what the exchange sends, the next tick asks again",
    "NotEnoughHistory": "ingest more days with `cryptobot backfill`",
    "ExchangeError": "read the exchange's own code in the cause",
    "ExchangeUnreachable": f"{HEALS}; if it stays, see whether the exchange is down or CRYPTOBOT_EXCHANGE_URL is wrong",
    "RateLimited": f"{HEALS}; if it stays, something else on this address asks too much of the exchange",
    "StoreError": "see whether the store is up, may be written and has room; `cryptobot doctor` tells",
    "RegistryError": "see whether MLflow is up; `cryptobot doctor` tells",
    "NoModel": "train a model first",
    "ProcessError": "read the log that the cause names",
}
OTHERWISE = "read the run's page; what is not an error of the platform's own may be a bug"


def advice_on(kind: str) -> str:
    """What to do about an error whose class has this name: its own advice, or that of its nearest parent."""
    found = getattr(errors, kind, None)
    if not isinstance(found, type) or not issubclass(found, errors.CryptobotError):
        return OTHERWISE
    return next(ADVICE[one.__name__] for one in found.__mro__ if one.__name__ in ADVICE)
