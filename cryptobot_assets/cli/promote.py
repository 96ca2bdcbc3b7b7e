"""`cryptobot promote`: a person decides which version serves, over the gate, or gives that back to it."""

from __future__ import annotations

import os
import pwd
import socket
from datetime import UTC, datetime

from cryptobot_assets.assets.promotion import crown, override_gate
from cryptobot_assets.cli.console import say
from cryptobot_assets.domain.evaluation import skill_of
from cryptobot_assets.errors import NoModel, UnknownCurrency, UsageError
from cryptobot_assets.leaderboard import evaluate_market
from cryptobot_assets.overfitting import overfitting_of
from cryptobot_assets.partitions import Partitions
from cryptobot_assets.resources import open_registry
from cryptobot_assets.settings import Settings
from cryptobot_assets.storage.registry import Registry
from cryptobot_assets.storage.registry_records import RegisteredVersion, algorithm_model
from cryptobot_assets.storage.store import open_store

MOST_REASON = 500


def run_promote(settings: Settings, market: str, model: str, version: str, reason: str) -> None:
    """Make a version champion for the reason given; what the gate says of it stays its verdict."""
    reason = " ".join(reason.split())
    if not 0 < len(reason) <= MOST_REASON:
        raise UsageError(f"--reason must say why, in 1 to {MOST_REASON} characters")
    registry = _registry_of(settings, market)
    chosen = find_version(registry, market, model, version)
    evaluations = evaluate_market(open_store(settings), settings, market, draws=0)
    champion = override_gate(
        registry,
        chosen,
        evaluations,
        skill=skill_of(evaluations, seed=settings.seed),
        by=who(),
        reason=reason,
        now=datetime.now(UTC),
        tried=overfitting_of(registry, settings, market, evaluations),
    )
    say(f"{champion.algorithm} version {champion.source_version} serves {market} now ({champion.verdict}).")
    if champion.override is not None:
        say(f"  ! {champion.override.told}")
    say("What the gate says of it:")
    for line in champion.reasons:
        say(f"  - {line}")
    say(f"Give the decision back with: cryptobot promote --market {market} --by-gate")


def run_by_gate(settings: Settings, market: str) -> None:
    """End a person's decision and let the gate decide at once."""
    registry = _registry_of(settings, market)
    reigning = registry.champion(market)
    if reigning is None or reigning.override is None:
        raise UsageError(f"no person has decided on market {market}: the gate decides already")
    evaluations = evaluate_market(open_store(settings), settings, market, draws=0)
    registry.end_override(reigning)
    say(f"The decision on {market} is the gate's again.")
    if evaluations:
        skill = skill_of(evaluations, seed=settings.seed)
        tried = overfitting_of(registry, settings, market, evaluations)
        champion, verdict = crown(registry, market, evaluations, skill=skill, tried=tried)
        say(f"{champion.algorithm} version {champion.source_version} serves ({champion.verdict}).")
        for line in verdict.reasons:
            say(f"  - {line}")


def find_version(registry: Registry, market: str, model: str, version: str) -> RegisteredVersion:
    """The trained version meant, by its registered model's name or its algorithm's.

    Raises:
        NoModel: there is none; the message names those that are there.
    """
    held = registry.versions(market)
    for one in held:
        if model in (one.name, one.algorithm) and one.version == version:
            return one
    same = sorted((one.version for one in held if model in (one.name, one.algorithm)), key=int)
    if same:
        raise NoModel(f"{model} has no version {version}: choose among {', '.join(same)}")
    names = ", ".join(sorted({one.name for one in held})) or f"none yet, such as {algorithm_model(market, 'ridge')}"
    raise NoModel(f"no model {model} is registered for market {market}: choose among {names}")


def who() -> str:
    """The person at the keyboard, as this machine knows them: user@host."""
    try:
        name = pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        name = str(os.getuid())
    return f"{name}@{socket.gethostname()}"


def _registry_of(settings: Settings, market: str) -> Registry:
    known = Partitions(settings).markets
    if market not in known:
        raise UnknownCurrency(market, known)
    return open_registry(settings)
