"""`cryptobot`: the command line. The one home of click.

Exit codes: 0 done, 1 failed, 2 bad usage; one clear line on stderr, a traceback only with --debug.
Commands import what they need when they run, so that `--help` answers at once.
"""

from __future__ import annotations

import os
import sys
import traceback
import warnings
from pathlib import Path
from typing import NoReturn

import click

from cryptobot_assets.cli.cluster import cluster
from cryptobot_assets.cli.exchange import exchange
from cryptobot_assets.cli.keeping_commands import backup, copy, restore
from cryptobot_assets.cli.key import key
from cryptobot_assets.cli.lineage import lineage
from cryptobot_assets.cli.paper_commands import paper
from cryptobot_assets.cli.plugins import plugins
from cryptobot_assets.cli.run_command import alive, dagster, run
from cryptobot_assets.domain.intervals import parse_day
from cryptobot_assets.errors import CryptobotError, UsageError
from cryptobot_assets.interrupts import keep_interrupts
from cryptobot_assets.secret_files import secrets_in_files
from cryptobot_assets.settings import EVERY, Settings, parse_currencies

PATH = click.Path(path_type=Path)


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.option("--debug", is_flag=True, help="Show the traceback of a failure.")
@click.version_option(package_name="cryptobot-assets")
def cryptobot(debug: bool) -> None:
    """Crypto price prediction from klines to served predictions, evaluated honestly.

    Settings are environment variables (CRYPTOBOT_HOME, CRYPTOBOT_CURRENCIES, ...); see docs/settings.md.
    """


for command in (alive, backup, cluster, copy, dagster, exchange, key, lineage, paper, plugins, restore, run):
    cryptobot.add_command(command)


@cryptobot.command()
@click.option("--once", is_flag=True, help="End after the report instead of staying up.")
@click.option("--report", type=PATH, help="Write the report here as JSON.")
@click.option("--replay", type=PATH, multiple=True, help="Replay recorded klines (Parquet file or directory).")
@click.option("--interval", type=click.Choice(["1m", "1h"]), help="Kline interval; default CRYPTOBOT_INTERVAL.")
@click.option("--currencies", help="Comma list; default every currency of the exchange.")
@click.option("--trials", type=click.IntRange(1), help="Tuning trials a model; default 20.")
@click.option("--folds", type=click.IntRange(1), help="Walk-forward folds a trial; default 3.")
@click.option("--cutoffs", type=click.IntRange(1), default=2, show_default=True, help="Trainings over the last third.")
@click.option("--algorithms", help="Comma list; default eight, and relativeridge from five currencies on.")
@click.option("--seed", type=click.IntRange(0), help="Seed of the simulation and of tuning; default 7.")
@click.option("--home", type=PATH, help="Where state lives; default CRYPTOBOT_HOME.")
def demo(
    once: bool,
    report: Path | None,
    replay: tuple[Path, ...],
    interval: str | None,
    currencies: str | None,
    trials: int | None,
    folds: int | None,
    cutoffs: int,
    algorithms: str | None,
    seed: int | None,
    home: Path | None,
) -> None:
    """The main job end to end: klines over HTTP, indicators, tuned models, evaluation, a served prediction.

    The market is simulated unless --replay gives recorded klines. Interrupted, it goes on where it stopped.
    """
    wanted = parse_currencies(currencies) if currencies else None
    settings = Settings.load(home=home, trials=trials, folds=folds, algorithms=algorithms, seed=seed)
    from cryptobot_assets.cli.demo import demo_plan, run_demo

    plan = demo_plan(settings, replay=replay, interval=interval, currencies=wanted, cutoffs=cutoffs, report=report)
    run_demo(plan, settings)
    if not once:
        from cryptobot_assets.cli.up import run_up

        run_up(Settings.load(home=home))


@cryptobot.command()
def up() -> None:
    """Run the platform on this machine: Dagster, MLflow, the prediction service, the dashboard; until Ctrl-C."""
    from cryptobot_assets.cli.up import run_up

    run_up(Settings.load())


@cryptobot.command()
def dashboard() -> None:
    """Run the dashboard alone, over what is stored, until Ctrl-C."""
    from cryptobot_assets.cli.dashboard import run_dashboard

    run_dashboard(Settings.load())


@cryptobot.command()
@click.option("--once", is_flag=True, help="Print them once and end.")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
def metrics(once: bool, host: str) -> None:
    """Metrics of pipeline, models and home for Prometheus, over HTTP on CRYPTOBOT_METRICS_PORT, until Ctrl-C.

    Those of the prediction service are at its own /metrics.
    """
    from cryptobot_assets.cli.metrics import run_metrics

    run_metrics(Settings.load(), once=once, host=host)


@cryptobot.command()
@click.option("--currencies", required=True, help="Comma list, or `all` for every one that was ever listed.")
@click.option("--from", "first", required=True, help="First day (YYYY-MM-DD).")
@click.option("--to", "last", required=True, help="Last day, included (YYYY-MM-DD).")
def backfill(currencies: str, first: str, last: str) -> None:
    """Ingest and indicate a range of days; interrupted, it goes on where it stopped."""
    wanted = EVERY if currencies.strip().lower() == "all" else parse_currencies(currencies)
    start, end = parse_day(first), parse_day(last)
    from cryptobot_assets.cli.backfill import run_backfill

    run_backfill(Settings.load(), wanted, start, end)


@cryptobot.command()
@click.option("--market", default="ALL", show_default=True, help="A currency, or ALL for the pooled universe.")
@click.option("--from", "first", help="First day (YYYY-MM-DD); default all.")
@click.option("--to", "last", help="Last day, included (YYYY-MM-DD); default all.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")
@click.option("--html", type=PATH, help="Write the whole report here too: one HTML file that opens offline.")
def report(market: str, first: str | None, last: str | None, as_json: bool, html: Path | None) -> None:
    """The leaderboard and evaluation from what is stored, out-of-sample rows only."""
    start, end = parse_day(first) if first else None, parse_day(last) if last else None
    from cryptobot_assets.cli.report import run_report

    run_report(Settings.load(), market.upper(), start, end, as_json=as_json, html=html)


@cryptobot.command()
@click.option("--market", default="ALL", show_default=True, help="A currency, or ALL for the pooled universe.")
@click.option("--model", help="Registered model or algorithm, for example cryptobot-ALL-ridge or ridge.")
@click.option("--version", help="Its version.")
@click.option("--reason", help="Why, for those who come after; recorded with your name, the time and the gate's words.")
@click.option("--by-gate", "--undo", "by_gate", is_flag=True, help="Give the decision back to the promotion gate.")
def promote(market: str, model: str | None, version: str | None, reason: str | None, by_gate: bool) -> None:
    """Decide which version serves, over the promotion gate, with a recorded reason; or undo that.

    What the gate says stays the version's verdict: it is served as unproven unless it passed. Evaluations leave
    the champion in place until the decision is given back.
    """
    from cryptobot_assets.cli.promote import run_by_gate, run_promote

    if by_gate:
        if model or version or reason:
            raise UsageError("--by-gate takes no --model, --version or --reason: the gate decides")
        run_by_gate(Settings.load(), market.upper())
        return
    if not (model and version and reason):
        raise UsageError("say which version and why: --model, --version and --reason (or --by-gate to undo)")
    run_promote(Settings.load(), market.upper(), model, version, reason)


@cryptobot.group()
def holdout() -> None:
    """The outcomes from CRYPTOBOT_HOLDOUT_FROM on, which nothing reads until they are opened."""


@holdout.command(name="open")
@click.option("--market", default="ALL", show_default=True, help="A currency, or ALL for the pooled universe.")
@click.option("--reason", required=True, help="Why; recorded with your name, the time, the commit and the figures.")
def open_command(market: str, reason: str) -> None:
    """Evaluate the champion and its rivals on the holdout. Every opening is counted and can be seen for ever."""
    from cryptobot_assets.cli.holdout import run_open

    run_open(Settings.load(), market.upper(), reason)


@holdout.command(name="log")
def log_command() -> None:
    """List every opening; exits with 1 where one was deleted or altered."""
    from cryptobot_assets.cli.holdout import run_log

    run_log(Settings.load())


@cryptobot.command()
@click.option("--market", default="ALL", show_default=True, help="A currency, or ALL for the pooled universe.")
def features(market: str) -> None:
    """What each group of features adds on rows after the cutoff, for every registered algorithm."""
    from cryptobot_assets.cli.features import run_features

    run_features(Settings.load(), market.upper())


@cryptobot.command()
@click.argument("query")
@click.option("--format", "kind", type=click.Choice(["table", "csv", "parquet"]), default="table", show_default=True)
@click.option("--out", type=PATH, help="Write to this file instead of stdout.")
def sql(query: str, kind: str, out: Path | None) -> None:
    """Read-only SQL (DuckDB) over klines, indicators, predictions, gaps and the paper bot's ledger."""
    from cryptobot_assets.cli.sql import run_sql

    run_sql(Settings.load(), query, kind, out)


@cryptobot.command()
@click.option("--seed", default=0, show_default=True, help="Of the market that is audited.")
def audit(seed: int) -> None:
    """Plant leaks that people really make in the pipeline, one at a time, and show each one caught.

    The untouched pipeline is held to the same checks and passes. Nothing is read from a store and
    nothing is written. Exits with 1 when a leak is not caught or an untouched pipeline fails.
    """
    from cryptobot_assets.cli.audit import run_audit

    run_audit(seed)


@cryptobot.command()
@click.argument("name")
@click.argument("version")
def retrain(name: str, version: str) -> None:
    """Train VERSION of the registered model NAME again from its tags alone, and compare every prediction.

    The store is read as it was then. Exits with 1 when a prediction differs by a bit, or when the rows
    cannot be had any more. Nothing is registered.
    """
    from cryptobot_assets.cli.retrain import run_retrain

    run_retrain(Settings.load(), name, version)


@cryptobot.command()
@click.argument("text", default="cryptobot can reach you")
def alert(text: str) -> None:
    """Send a test message over every channel that the settings name for alerts."""
    from cryptobot_assets.cli.alert import run_alert

    run_alert(Settings.load(), text)


@cryptobot.command()
def doctor() -> None:
    """Check settings, home, stores, exchange and registry, and say what to mend."""
    from cryptobot_assets.cli.doctor import run_doctor

    if not run_doctor():
        raise CryptobotError("not everything is well: mend what the lines marked MEND name")


def main() -> None:
    """Run the command line; the entry point of the package."""
    keep_interrupts()
    debug = "--debug" in sys.argv
    if not debug and not sys.warnoptions:
        warnings.simplefilter("ignore")  # of libraries; they would bury the one line that matters
    try:
        os.environ.update(secrets_in_files(os.environ))
        cryptobot.main(args=[arg for arg in sys.argv[1:] if arg != "--debug"], standalone_mode=False)
    except click.exceptions.Exit as stop:
        sys.exit(stop.exit_code)
    except click.exceptions.NoArgsIsHelpError as error:
        error.show()
        sys.exit(error.exit_code)
    except click.ClickException as error:
        _fail(error, error.exit_code, debug=debug)
    except (KeyboardInterrupt, click.Abort):
        click.echo("interrupted; run it again to go on from here", err=True)
        sys.exit(130)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except Exception as error:  # noqa: BLE001 whatever failed, the caller gets one line and an exit code
        _fail(error, 2 if isinstance(error, UsageError) else 1, debug=debug)


def _fail(error: Exception, code: int, *, debug: bool) -> NoReturn:
    if debug:
        traceback.print_exception(error)
    click.echo(f"cryptobot: {one_line(error)}", err=True)
    sys.exit(code)


def one_line(error: Exception) -> str:
    """The error as one line; ours speak for themselves, others are named and point at --debug."""
    text = " ".join((error.format_message() if isinstance(error, click.ClickException) else str(error)).split())
    if isinstance(error, CryptobotError | click.ClickException):
        return text
    return f"unexpected {type(error).__name__}: {text[:300]} (run again with --debug for the traceback)"


if __name__ == "__main__":
    main()
