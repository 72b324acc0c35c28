"""`make newcomer`: what somebody new does in their first days, walked by a script; each step prints what it proved.

    clone      what is committed, to a folder with a space in its name, and `make setup` there
    demo       `make demo`, and beside it a subscriber of alerts in Python
    tests      `make test`, of it the folders that `--tests` names
    shard      one collector of a venue gives way to two, each with its half
    upgrade    a store of the previous release is gone on with: its rows stay, new ones come
    restore    the store is put back from a backup: what came after it is stored again
    compose    `make compose DEMO=1` where an engine answers, on stand-ins where images cannot be had

`make newcomer ARGS="--steps demo,shard"` walks some of them. The exit code is 0 only when every step proved its point.
"""

from __future__ import annotations

import argparse
import signal
import sys
import tempfile
import time
from pathlib import Path

from kernel.errors import UserError
from tests.newcomer.walk import STEPS, NotProved, Walk


def main() -> int:
    """Walks the steps in order."""
    given = _given()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that what was started ends too
    began_s = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="movers newcomer ") as scratch:
        walk = Walk(Path(scratch), own_venv=not given.here, tests=given.tests, before=given.before)
        for name in STEPS:
            if name not in given.steps and name != "clone":
                continue
            step_s = time.monotonic()
            try:
                proved = STEPS[name](walk)
            except (NotProved, AssertionError, UserError) as error:
                print(f"{name:<8} FAILED: {error}", file=sys.stderr)
                return 1
            print(f"{name:<8} {time.monotonic() - step_s:6.0f} s  {proved}", flush=True)
    print(f"newcomer: ok after {time.monotonic() - began_s:.0f} s", flush=True)
    return 0


def _given() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make newcomer", description="A newcomer's path, step by step.")
    parser.add_argument("--steps", type=lambda text: text.split(","), default=list(STEPS), help="some of them")
    parser.add_argument("--here", action="store_true", help="use this checkout's .venv in the clone: no installation")
    parser.add_argument("--tests", default="tests/schemas tests/compose", help="what `make test` runs; '' for all")
    parser.add_argument("--before", metavar="REF", help="the release before; else the commit before the last migration")
    given = parser.parse_args()
    if unknown := set(given.steps) - STEPS.keys():
        parser.error(f"no such step: {', '.join(sorted(unknown))}; there are {', '.join(STEPS)}")
    return given


if __name__ == "__main__":
    sys.exit(main())
