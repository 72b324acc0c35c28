"""`make chaos`: bad days from seeds. The last line of each day and the exit code say the same.

`make chaos ARGS=long` is three days of 100 kills and three outages of each kind; `ARGS="--seed 7"` plays one again.
`ARGS=records` is no day but ten million records into the store under kills (`records.py`).
"""

from __future__ import annotations

import argparse
import secrets
import sys
import tempfile
from pathlib import Path

from tests.chaos.records import flood
from tests.chaos.run import bad_day
from tests.chaos.trouble import ALONE, OUTAGES, Break, a_day

LENGTHS = {"short": (1, 10, 1), "long": (3, 100, 3)}
"""Days, kills a day, outages of each kind a day."""


def main() -> int:
    """Plays each day; 0 when nothing was lost, doubled or kept silent about."""
    given = _given()
    if given.length == "records":
        return _flood(given)
    days, kills, outages = LENGTHS[given.length]
    kills = kills if given.kills is None else given.kills
    kinds = _kinds(given.only) * (outages if given.outages is None else given.outages)
    good = True
    for seed in given.seed or [secrets.randbelow(100_000) for _ in range(days)]:
        day = a_day(seed, kills, kinds, given.longest)
        with tempfile.TemporaryDirectory(prefix="chaos ") as scratch:
            folder = (given.keep or Path(scratch)) / f"seed {seed}"
            if folder.exists():  # what another day wrote there would be read for this one's
                raise SystemExit(f"--keep {given.keep}: it has a day of seed {seed} already")
            outcome = bad_day(folder, seed, day, lambda text: print(text, flush=True))
        print(outcome.line, flush=True)
        good = good and outcome.verdict.good
    return 0 if good else 1


def _flood(given: argparse.Namespace) -> int:
    seed = given.seed[0] if given.seed else secrets.randbelow(100_000)
    outcome = flood(int(given.millions * 1_000_000), seed, lambda text: print(text, flush=True))
    print(outcome.line, flush=True)
    return 0 if outcome.good else 1


def _kinds(only: str | None) -> list[Break]:
    return [kind for kind in (OUTAGES if only is None else ALONE) if only in (None, kind.__name__)]


def _given() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("length", nargs="?", choices=[*LENGTHS, "records"], default="short")
    parser.add_argument("--seed", type=int, action="append", help="play this seed; may be given again")
    parser.add_argument("--kills", type=int, help="kills of our processes a day, beside those of outages")
    parser.add_argument("--outages", type=int, help="outages of each kind a day")
    parser.add_argument("--longest", type=float, default=20.0, help="seconds that an outage lasts at most")
    parser.add_argument("--only", choices=[kind.__name__ for kind in ALONE], help="outages of this kind alone")
    parser.add_argument("--millions", type=float, default=10.0, help="of `records`")
    parser.add_argument("--keep", type=Path, help="keep logs and data in this folder")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
