"""What both stand-ins share: children that end with us, and a server that stops by SIGTERM with exit code 0."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
from collections.abc import Sequence

import uvicorn
from starlette.applications import Starlette

_STOP_S = 40


def serve(app: Starlette, port: int, children: Sequence[subprocess.Popen[bytes]]) -> int:
    """Serves `app` on all addresses until SIGTERM or until a child ends; then ends the children. Returns the code."""
    server = uvicorn.Server(
        uvicorn.Config(app, host="0.0.0.0", port=port, log_level="warning", timeout_graceful_shutdown=3)  # noqa: S104  the container's own network
    )
    for child in children:
        threading.Thread(target=_stop_with, args=(child, server), daemon=True).start()
    server.run()
    orderly = all(child.poll() is None for child in children)
    for child in reversed(children):
        child.send_signal(signal.SIGTERM)
    for child in children:
        child.wait(_STOP_S)
    return 0 if orderly else 1


def start(module: str, *arguments: object) -> subprocess.Popen[bytes]:
    """A service of ours as a child: `python -m module arguments`."""
    return start_program([sys.executable, "-m", module, *(str(argument) for argument in arguments)])


def start_program(command: Sequence[str]) -> subprocess.Popen[bytes]:
    """Any program as a child."""
    return subprocess.Popen(command)


def _stop_with(child: subprocess.Popen[bytes], server: uvicorn.Server) -> None:
    child.wait()
    server.should_exit = True
