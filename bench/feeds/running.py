"""A venue that runs: its sender and the collectors that read it, as processes."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from typing import Any, Self

from bench.feeds.venue import Venue
from bench.processing import Place
from movers.local.ports import free_port


@dataclass(frozen=True, slots=True)
class Load:
    """What a venue sends, and how many collectors share its markets."""

    venue: Venue
    markets: int
    rate: int
    """Messages a second."""
    burst: int = 0
    burst_over_s: float = 0.0
    shards: int = 1


class Running:
    """Several are opened, measured and ended in step: each of these calls waits for what the one before it began."""

    def __init__(self, place: Place, load: Load, seconds: int) -> None:
        self.load, port = load, free_port()
        name = load.venue.name
        sent = [name, port, load.markets, load.rate, load.burst, load.burst_over_s]
        here = [place.bootstrap, place.registry_url, place.folder, f"ws://127.0.0.1:{port}{load.venue.path}"]
        read = [name, load.markets, seconds]
        self._sender = _process("bench.feeds.sender", *sent)
        self._readers = [
            _process("bench.feeds.collector", *here, *read, number, load.shards) for number in range(1, load.shards + 1)
        ]
        self._opened: list[dict[str, Any]] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for process in (self._sender, *self._readers):
            process.kill()

    def open(self) -> None:
        """Waits until all markets are."""
        self._opened = [json.loads(_line(reader)) for reader in self._readers]

    def measure(self) -> None:
        """The warm-up begins, and the measuring after it."""
        for reader in self._readers:
            assert reader.stdin is not None
            reader.stdin.write("measure\n")
            reader.stdin.flush()

    def figures(self) -> list[dict[str, Any]]:
        """What each collector found."""
        return [opened | json.loads(_line(reader)) for opened, reader in zip(self._opened, self._readers, strict=True)]

    def frames(self) -> tuple[list[int], list[int]]:
        """Ends the sender, lets its last frames be read; how many were sent, and read, on each connection."""
        self._sender.terminate()
        sent = json.loads(self._sender.communicate(timeout=60)[0] or "[]")
        ends = [json.loads(reader.communicate(timeout=60)[0]) for reader in self._readers]
        return sent, [frames for end in ends for frames in end["frames_read"]]


def _process(module: str, *arguments: object) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", module, *map(str, arguments)]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def _line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    line = process.stdout.readline()
    if not line:
        raise SystemExit("a process ended before it had measured")
    return line
