"""The state of the prediction service, from a real socket: serving, waiting for a model, refusing, silent."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from cryptobot_assets.dashboard.service import look_at_service
from cryptobot_assets.processes import free_port
from cryptobot_assets.settings import Settings

MODELS = {"models": [{"algorithm": "ridge"}], "registry": {"error": None}}
READY = {"status": "ready"}
REFUSAL = {"error": {"code": "no_model", "message": "train one first", "field": None}}


@contextmanager
def service(answers: Mapping[str, tuple[int, Any]], key: str | None = None) -> Iterator[int]:
    """A server that gives these answers; where a key is set, only to callers that send it."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, body = answers[self.path]
            if key and self.path == "/models" and self.headers["Authorization"] != f"Bearer {key}":
                status, body = 401, REFUSAL
            content = body.encode() if isinstance(body, str) else json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            """Quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    yield server.server_port
    server.shutdown()
    server.server_close()


def settings_for(home: Path, port: int, **changes: Any) -> Settings:
    return Settings.load(home=home, service_port=port, **changes)


def test_a_service_that_serves_lists_its_models(tmp_path: Path) -> None:
    with service({"/readyz": (200, READY), "/models": (200, MODELS)}, key="secret") as port:
        state = look_at_service(settings_for(tmp_path, port, api_key="secret"))
        assert state.answers and state.ready and state.models == MODELS["models"]
        refused = look_at_service(settings_for(tmp_path, port, api_key="wrong"))
    assert refused.ready and refused.models == () and "train one first" in refused.told


def test_trouble_of_its_registry_is_told(tmp_path: Path) -> None:
    listing = MODELS | {"registry": {"error": "the registry does not answer"}}
    with service({"/readyz": (200, READY), "/models": (200, listing)}) as port:
        state = look_at_service(settings_for(tmp_path, port))
    assert state.ready and "the registry does not answer" in state.told


@pytest.mark.parametrize("said", [REFUSAL, ["strange"], {"error": "strange"}])
def test_a_service_without_a_model_is_not_ready(tmp_path: Path, said: Any) -> None:
    with service({"/readyz": (503, said), "/models": (200, MODELS)}) as port:
        state = look_at_service(settings_for(tmp_path, port))
    assert state.answers and not state.ready and "serves nothing yet" in state.told


def test_silence_and_nonsense_say_what_to_do(tmp_path: Path) -> None:
    silent = look_at_service(settings_for(tmp_path, free_port()))
    with service({"/readyz": (200, "<html>"), "/models": (200, MODELS)}) as port:
        strange = look_at_service(settings_for(tmp_path, port))
    for state in (silent, strange):
        assert not state.answers and "cryptobot up" in state.told
