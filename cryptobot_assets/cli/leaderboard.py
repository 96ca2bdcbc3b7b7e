"""The leaderboard as a person reads it: figures beside costs, control, base rate and intervals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from cryptobot_assets.cli.console import print_table, say
from cryptobot_assets.storage.registry_records import Override

COLUMNS = [
    "algorithm", "ver.", "net value (90 %)", "gross", "IC (90 %)", "MSE vs zero", "prec. up", "base rate", "eff. n",
    "in 90 %", "trades", "replaced",
]  # fmt: skip
RULE_COLUMNS = ["rule", "net value (90 %)", "over control (90 %)", "turnover a day", "break-even a side", "invested"]


def print_leaderboard(
    models: Sequence[Mapping[str, Any]], control: Mapping[str, Any], champion: Mapping[str, Any] | None
) -> None:
    """Print the report's `models`, `control` and `champion` parts."""
    costs = models[0]["pool_value"] if models else None
    rows = [_row(model) for model in models]
    if control.get("net") is not None:
        rows.append(["control: holding", "", _number(control["net"]), _number(control["gross"]), *[""] * 8])
    title = "Out of sample, best net value first"
    if costs:
        title += f"; net of {costs['fee_bps']:g} bps fee and {costs['slippage_bps']:g} bps slippage a side"
    print_table(title, COLUMNS, rows, numbers_from=2)
    if champion:
        verdict = champion["verdict"]
        word = "passed" if verdict["promote"] else "unproven"
        say(f"Champion: {champion['algorithm']} version {champion['version']} for {champion['market']} ({word})")
        if champion.get("override"):
            say(f"  ! {Override(**champion['override']).told}")
        for reason in verdict["reasons"]:
            say(f"  - {reason}")
        shown = next((model for model in models if model["algorithm"] == champion["algorithm"]), None)
        if shown and shown["pool_value"]["rules"]:
            _print_rules(shown)


def _print_rules(model: Mapping[str, Any]) -> None:
    """The same predictions under every allocation rule."""
    rows = [
        [
            one["rule"],
            _interval(one["net"], one["net_ci"]),
            _interval(one["over_control"], one["over_control_ci"]),
            f"{one['turnover_a_day']:.2f}",
            "never" if not one["break_even_bps"] else f"{one['break_even_bps']:.0f} bps",
            f"{one['invested']:.0%}",
        ]
        for one in model["pool_value"]["rules"]
    ]
    print_table(f"{model['algorithm']} under each allocation rule", RULE_COLUMNS, rows, numbers_from=1)


def _row(model: Mapping[str, Any]) -> list[str]:
    classes, pool = model["classification"], model["pool_value"]
    return [
        model["algorithm"],
        str(model["version"]),
        _interval(pool["net"], pool["net_ci"]),
        _number(pool["gross"]),
        _interval(model["ic"], model["ic_ci"]),
        f"{model['mse'] / model['mse_zero'] - 1:+.2%}" if model["mse_zero"] else "n/a",
        _number(classes["1"]["precision"]),
        _number(classes["base_rate"]),
        f"{classes['effective_n']:.0f}",
        _number(model["interval_coverage"]["realised"]),
        f"{pool['trades']:,}",
        "n/a" if pool["seed"] is None else f"{pool['seed']:.3g}",
    ]


def _number(value: float | None) -> str:
    return "n/a" if value is None else f"{value:.3f}"


def _interval(value: float | None, bounds: Sequence[float | None]) -> str:
    if value is None or bounds[0] is None:
        return _number(value)
    return f"{value:.3f} ({bounds[0]:.3f}, {bounds[1]:.3f})"
