"""A real S3 server that knows one key, on free ports."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

KEY, SECRET = "key", "the secret"
START_SECONDS = 60
PORTS = ("master.port", "volume.port", "filer.port", "s3.port")
PORTS += tuple(f"{name}.grpc" for name in PORTS)


def s3_environment(endpoint: str, *, secret: str = SECRET) -> dict[str, str]:
    """Variables by which AWS's tools find the server."""
    return {
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_ACCESS_KEY_ID": KEY,
        "AWS_SECRET_ACCESS_KEY": secret,
        "AWS_REGION": "us-east-1",
    }


class S3Server:
    """A server on ports and with data of its own, which can be stopped and started again.

    Attributes:
        endpoint: its address.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._ports = dict(zip(PORTS, free_ports(len(PORTS)), strict=True))
        self._process: subprocess.Popen | None = None
        self.endpoint = f"http://127.0.0.1:{self._ports['s3.port']}"
        identity = {"name": "me", "credentials": [{"accessKey": KEY, "secretKey": SECRET}], "actions": ["Admin"]}
        (directory / "s3.json").write_text(json.dumps({"identities": [identity]}))

    def start(self) -> None:
        """Return once it answers; it has the bucket `bucket`."""
        directory = self._directory
        with (directory / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [
                    str(Path(sys.executable).with_name("weed")), "server", "-filer", "-s3", f"-dir={directory}",
                    "-ip=127.0.0.1", "-ip.bind=127.0.0.1", f"-s3.config={directory / 's3.json'}",
                    "-master.volumeSizeLimitMB=64", "-volume.max=20", "-s3.port.iceberg=0", "-s3.port.lance=0",
                    *(f"-{name}={port}" for name, port in self._ports.items()),
                ],
                stdout=log, stderr=log, cwd=directory, start_new_session=True,
                env=os.environ | {"HOME": str(directory)},
            )  # fmt: skip
        make_bucket(self.endpoint, self._process, directory / "log")

    def stop(self, number: signal.Signals = signal.SIGKILL) -> None:
        """By a signal to it and its children; return once it has ended."""
        if self._process is not None and self._process.poll() is None:
            os.killpg(self._process.pid, number)
            self._process.wait()


@contextmanager
def s3_server(directory: Path) -> Iterator[str]:
    """Its endpoint, once it answers, with the bucket `bucket`."""
    with running_s3(directory) as server:
        yield server.endpoint


@contextmanager
def running_s3(directory: Path) -> Iterator[S3Server]:
    """A server that answers, until the end; its directory goes with it."""
    server = S3Server(directory)
    try:
        server.start()
        yield server
    finally:
        server.stop()
        shutil.rmtree(directory)


def make_bucket(endpoint: str, server: subprocess.Popen, log: Path) -> None:
    """As soon as the server can."""
    client = boto3.client(
        "s3",
        endpoint_url=endpoint,
        aws_access_key_id=KEY,
        aws_secret_access_key=SECRET,
        region_name="us-east-1",
        config=Config(retries={"max_attempts": 0}, connect_timeout=10, read_timeout=30),
    )
    deadline = time.monotonic() + START_SECONDS
    there = client.exceptions.BucketAlreadyOwnedByYou, client.exceptions.BucketAlreadyExists
    while True:
        try:
            with suppress(*there):
                client.create_bucket(Bucket="bucket")
            client.put_object(Bucket="bucket", Key="begin", Body=b"")
            return
        except (BotoCoreError, ClientError):
            assert server.poll() is None, f"the S3 server ended: {log.read_bytes()[-2000:]!r}"
            assert time.monotonic() < deadline, "the S3 server does not answer"
            time.sleep(0.1)


def free_ports(count: int) -> list[int]:
    """Ports nobody listens on."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]
