"""What runs of the warm code server import, imported once: they are forks of the process that has this module."""

from __future__ import annotations

import importlib

import dagster._cli.api
import dagster._grpc.server  # noqa: F401 imported to be held by the processes forked of this one

import cryptobot_assets.definitions  # noqa: F401 imported to be held by the processes forked of this one
from cryptobot_assets_tests.platform.commands import TRAINING
from cryptobot_assets_tests.platform.warm import require_one_thread

for name in TRAINING:
    importlib.import_module(name)
require_one_thread()
