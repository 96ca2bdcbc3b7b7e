"""How long predictions are away while each service is killed in turn, and what the prediction log loses.

    python benchmarks/uptime.py HOME [--instances 2] [--rest 20] [--services predictions,mlflow,...]

HOME is a home with a champion (`cryptobot demo --once --home HOME`); its klines are read, and served predictions
are written into it, so take a copy. Every service runs as the systemd units run it: `cryptobot run NAME`, killed with
all its children (SIGKILL), started again after RestartSec; the next is killed
once an instance of predictions that was killed is back. Predictions are asked for through nginx as it is configured
in `deploy/edge`, without TLS. A request that gets no 200 within five seconds counts as failed. Linux, with nginx.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import requests

from cryptobot_assets.processes import answers, free_port
from cryptobot_assets.storage.embedded_postgres import EmbeddedPostgres

ROOT = Path(__file__).resolve().parents[1]
UNITS = ROOT / "deploy" / "systemd"
UNIT = (UNITS / "cryptobot@.service").read_text()
RESTART_SECONDS = float(re.findall(r"^RestartSec=(\S+)$", UNIT, re.MULTILINE)[0])
EDGE = (ROOT / "deploy" / "edge" / "nginx.conf").read_text()
CALLERS, PAUSE_SECONDS, PATIENCE_SECONDS, START_SECONDS = 4, 0.05, 5.0, 300.0
STATED_SECONDS = 1.0
"""What the prediction log may lose of a service that is killed."""


@dataclass
class Service:
    """One unit: started, and started again whenever it ends, until it is stopped."""

    name: str
    argv: list[str]
    environment: dict[str, str]
    log: Path
    ready: str = ""
    starts: int = 0
    process: subprocess.Popen[bytes] | None = None
    stopped: bool = False

    def keep(self) -> None:
        """Run it for good, as `Restart=always` does."""
        while not self.stopped:
            with self.log.open("ab") as log:
                self.process = subprocess.Popen(
                    self.argv, env=self.environment, stdout=log, stderr=log, start_new_session=True
                )
            self.starts += 1
            self.process.wait()
            self.kill()  # systemd ends what is left of a unit's processes too
            if not self.stopped:
                time.sleep(RESTART_SECONDS)

    def kill(self) -> None:
        """SIGKILL to all its processes."""
        if self.process is not None:
            try:
                os.killpg(self.process.pid, signal.SIGKILL)
            except ProcessLookupError:
                return


@dataclass
class Calls:
    """What callers saw: when each request was answered (seconds), and with which prediction; None for a failure."""

    url: str
    seen: list[tuple[float, str | None]] = field(default_factory=list)
    over: threading.Event = field(default_factory=threading.Event)

    def make(self) -> None:
        """Ask one request after the other until it is over."""
        session = requests.Session()
        session.trust_env = False
        while not self.over.wait(PAUSE_SECONDS):
            try:
                answer = session.post(f"{self.url}/predict", json={"currency": "BTCUSDT"}, timeout=PATIENCE_SECONDS)
                found = answer.json()["prediction_id"] if answer.status_code == 200 else None
            except requests.RequestException:
                found = None
            self.seen.append((time.time(), found))


def edge_configuration(folder: Path, port: int, instances: list[int]) -> Path:
    """The edge's own configuration, its server of predictions alone, over instances on this machine."""
    servers = "".join(f"server 127.0.0.1:{one} max_fails=0;" for one in instances)
    top = EDGE[: EDGE.index("    # Names that are not ours")]
    predictions = re.findall(r"    server \{[^#]*?server_name predictions.*?\n    \}\n", EDGE, re.DOTALL)[0]
    text = f"{top}    upstream predictions {{ {servers} }}\n{predictions}}}\n"
    text = re.sub(r"^\s*(ssl_|resolver ).*\n", "", text, flags=re.MULTILINE)
    text = text.replace("0.0.0.0:8443 ssl", f"127.0.0.1:{port} default_server")
    text = text.replace("http://predictions:3000", "http://predictions").replace("/tmp/", f"{folder}/")
    path = folder / "nginx.conf"
    path.write_text(text.replace("/dev/stdout", "off"))
    return path


@contextmanager
def running(services: dict[str, Service]) -> Iterator[None]:
    """The services, until the end of the block."""
    threads = [threading.Thread(target=one.keep, daemon=True) for one in services.values()]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        for one in services.values():
            one.stopped = True
            one.kill()
        for thread in threads:
            thread.join(10)


def make_services(home: Path, folder: Path, metadata_url: str, instances: int, url_port: int) -> dict[str, Service]:
    """Every service of the units, predictions as often as told, and the edge."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("CRYPTOBOT_", "MLFLOW_"))}
    given = {"CRYPTOBOT_HOME": str(home), "CRYPTOBOT_METADATA_URL": metadata_url, "CRYPTOBOT_CODE_HOST": "127.0.0.1"}
    given["CRYPTOBOT_EXCHANGE_URL"] = "http://127.0.0.1:9"
    given["CRYPTOBOT_WORKSPACE"] = str(ROOT / "deploy" / "dagster" / "workspace.yaml")
    for name in ("WEBSERVER", "MLFLOW", "DASHBOARD"):
        given[f"CRYPTOBOT_{name}_PORT"] = str(free_port())
    names = re.findall(r"cryptobot@(\w+)\.service", (UNITS / "cryptobot.target").read_text())
    ports = [free_port() for _ in range(instances)]
    services = {}
    for name in names:
        for number, port in enumerate(ports if name == "predictions" else [None], 1):
            unit = name if number == 1 else f"{name} {number}"
            argv = [
                sys.executable,
                "-m",
                "cryptobot_assets.cli.main",
                "run",
                name,
                *(["--port", str(port)] if port else []),
            ]
            ready = f"http://127.0.0.1:{port}/readyz" if port else ""
            services[unit] = Service(unit, argv, clean | given, folder / f"{unit}.log", ready)
    nginx = shutil.which("nginx", path=f"{Path(sys.executable).parent}:{os.environ['PATH']}:/usr/sbin")
    configuration = edge_configuration(folder, url_port, ports)
    argv = [nginx, "-e", "stderr", "-c", str(configuration), "-g", "daemon off;"]
    services["edge"] = Service("edge", argv, clean, folder / "edge.log")
    return services


def wait_until(true: Callable[[], bool], what: str) -> None:
    """Return when it is true."""
    deadline = time.monotonic() + START_SECONDS
    while not true():
        if time.monotonic() > deadline:
            raise SystemExit(f"not within {START_SECONDS:.0f} s: {what}")
        time.sleep(1)


def drill(
    services: dict[str, Service], calls: Calls, targets: list[str], rest_seconds: float
) -> list[tuple[str, float]]:
    """Kill one after the other under load; when each was killed."""
    threads = [threading.Thread(target=calls.make, daemon=True) for _ in range(CALLERS)]
    for thread in threads:
        thread.start()
    killed = []
    time.sleep(rest_seconds / 2)
    for name in targets:
        killed.append((name, time.time()))
        services[name].kill()
        time.sleep(rest_seconds)
        if url := services[name].ready:
            wait_until(partial(answers, url), f"{name} is back")
    calls.over.set()
    for thread in threads:
        thread.join()
    return killed


def tell(calls: Calls, killed: list[tuple[str, float]], home: Path) -> None:
    """Availability, the longest time away after each kill, and what the log lost."""
    logged = set()
    for path in (home / "served").glob("[!.]*.jsonl"):
        logged |= set(re.findall(r'"prediction_id":"([^"]+)"', path.read_text(errors="replace")))
    answered = [(when, found) for when, found in calls.seen if found is not None]
    share = len(answered) / len(calls.seen)
    print(f"{len(calls.seen)} requests, {len(calls.seen) - len(answered)} failed: {share:.3%} answered")
    ends = [when for _, when in killed[1:]] + [float("inf")]
    for (name, when), end in zip(killed, ends, strict=True):
        failed = [instant for instant, found in calls.seen if when <= instant < end and found is None]
        away = f"failures over {max(failed) - min(failed):.1f} s" if failed else ""
        print(f"  {name:<14} killed: {len(failed):>4} failed {away}")
    lost = [when for when, found in answered if found not in logged]
    kills = [when for name, when in killed if name.startswith("predictions")]
    beyond = [when for when in lost if not any(0 <= kill - when <= STATED_SECONDS for kill in kills)]
    print(f"prediction log: {len(answered)} answered, {len(lost)} not recorded, {len(beyond)} beyond the stated second")


def main() -> None:
    """Bring everything up, drill, tell."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("home", type=Path)
    parser.add_argument("--instances", type=int, default=2, help="of the prediction service")
    parser.add_argument("--rest", type=float, default=20.0, help="seconds between two kills")
    parser.add_argument("--services", help="comma list of those to kill; default: all but the edge")
    given = parser.parse_args()
    home, port = given.home.absolute(), free_port()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="cryptobot-uptime-")))
        server = stack.enter_context(EmbeddedPostgres(home / "postgres"))
        services = make_services(home, folder, server.url("postgres"), given.instances, port)
        targets = given.services.split(",") if given.services else [name for name in services if name != "edge"]
        stack.enter_context(running(services))
        calls = Calls(f"http://127.0.0.1:{port}")
        for one in services.values():
            if one.ready:
                wait_until(partial(answers, one.ready), f"{one.name} serves (has the home a champion?)")
        time.sleep(given.rest)
        killed = drill(services, calls, targets, given.rest)
        time.sleep(2 * STATED_SECONDS)
        tell(calls, killed, home)
        print("started again:", ", ".join(f"{one.name} {one.starts - 1}" for one in services.values()))


if __name__ == "__main__":
    main()
