"""A run of the stack, announced by a file, so that `movers status` and the other commands find it."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil

_FILE = "running.json"
_EVERY_S = 2.0


@contextlib.contextmanager
def announced(home: Path, tell: Callable[[], dict[str, Any]]) -> Iterator[None]:
    """While this lasts, whoever looks under `home` finds what `tell` says, refreshed as we go. Needs a running loop."""
    path = home / _FILE
    refresher = asyncio.get_running_loop().create_task(_refresh(path, tell))
    try:
        yield
    finally:
        refresher.cancel()
        path.unlink(missing_ok=True)


async def _refresh(path: Path, tell: Callable[[], dict[str, Any]]) -> None:
    me = psutil.Process()
    own = {"pid": me.pid, "created": me.create_time()}
    while True:
        draft = path.with_suffix(".tmp")
        with contextlib.suppress(OSError):  # a disk that is full just now; the next one may be taken
            draft.write_text(json.dumps(own | tell(), indent=1), "utf-8")
            draft.replace(path)
        await asyncio.sleep(_EVERY_S)


def running(home: Path) -> dict[str, Any] | None:
    """The run announced under this home, if its supervisor is alive."""
    try:
        state: dict[str, Any] = json.loads((home / _FILE).read_text("utf-8"))
        alive = psutil.Process(state["pid"]).create_time() == state["created"]
    except (OSError, ValueError, KeyError, psutil.Error):
        return None
    return state if alive else None
