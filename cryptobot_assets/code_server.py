"""One process that has the code loaded, for Dagster's page and its daemon alike.

Left to themselves each of the two starts one of its own, and the daemon a new one every minute.
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from dagster._core.errors import DagsterUserCodeUnreachableError
from dagster._grpc.client import DagsterGrpcClient

from cryptobot_assets.processes import Supervisor

MODULE = "cryptobot_assets.definitions"
START_SECONDS = 180
PROGRAM = (sys.executable, "-m", "dagster", "code-server", "start")


@dataclass(frozen=True)
class CodeServer:
    """Where it answers, in a folder of this start alone, which tells its runs from those of an earlier one."""

    folder: Path

    @property
    def socket(self) -> Path:
        return self.folder / "socket"

    @property
    def workspace(self) -> Path:
        """The workspace file that leads page and daemon to it."""
        return self.folder / "workspace.yaml"

    def start(
        self,
        supervisor: Supervisor,
        *,
        env: Mapping[str, str] | None,
        log_path: Path,
        program: Sequence[str] = PROGRAM,
    ) -> None:
        """Return when it has loaded the code; it ends with the supervisor.

        Raises:
            ProcessError: it ended, or was not ready in time.
        """
        place = {"socket": str(self.socket), "location_name": MODULE}
        self.workspace.write_text(json.dumps({"load_from": [{"grpc_server": place}]}))  # JSON is YAML
        argv = [*program, "-m", MODULE, "--socket", str(self.socket)]
        supervisor.start(
            "code server", argv, env=env, log_path=log_path, ready=self.answers, timeout_seconds=START_SECONDS
        )

    def answers(self) -> bool:
        """Whether it has loaded the code."""
        if not self.socket.exists():
            return False
        try:
            return bool(DagsterGrpcClient(socket=str(self.socket)).ping(MODULE))
        except DagsterUserCodeUnreachableError:
            return False


@contextmanager
def code_server() -> Iterator[CodeServer]:
    """A place for one; only this user reaches it."""
    with tempfile.TemporaryDirectory(prefix="cryptobot-code-") as folder:
        yield CodeServer(Path(folder))
