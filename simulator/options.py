"""What the simulator is asked to do on its command line, and the tape that this names."""

from __future__ import annotations

import argparse
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Final

import orjson

from kernel.errors import UserError
from schemas.units import US_PER_S
from simulator.clock import real_now_us
from simulator.house import HouseTape
from simulator.tape import Tape, read_tape

MOST_MARKETS: Final = 400_000
"""Of the house tape: about 1 GB for each 100,000 once all rows have been asked for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What the simulator is to do; see `--help`."""

    port: int
    host: str = "127.0.0.1"
    markets: int = 500
    seed: int = 1
    since_s: float = 7_200.0
    speed: float = 60.0
    tape: Path | None = None
    lockstep: bool = False
    truth: Path | None = None
    shift: str | None = None
    past_s: float = 0.0


def duration_s(text: str) -> float:
    """Seconds of "90", "90s", "10m", "2h", "1d".

    Raises:
        argparse.ArgumentTypeError: anything else, or longer than ten years.
    """
    match = re.fullmatch(r"(\d+(?:\.\d+)?)([smhd]?)", text)
    seconds = float(match[1]) * {"s": 1, "m": 60, "h": 3_600, "d": 86_400, "": 1}[match[2]] if match else -1
    if not 0 <= seconds <= 3_660 * 86_400:
        raise argparse.ArgumentTypeError(f"not a duration like 90s, 10m, 2h or 1d: {text!r}")
    return seconds


def _positive(text: str) -> float:
    number = float(text)
    if not (math.isfinite(number) and 0 < number <= 100_000):
        raise argparse.ArgumentTypeError(f"must be over 0 and at most 100000: {text}")
    return number


def _port(text: str) -> int:
    if not text.isdigit() or int(text) > 65_535:
        raise argparse.ArgumentTypeError(f"not a port: {text!r}")
    return int(text)


def _market_count(text: str) -> int:
    if not text.isdigit() or not 2 <= int(text) <= MOST_MARKETS:
        raise argparse.ArgumentTypeError(f"must be 2 to {MOST_MARKETS}: {text!r}")
    return int(text)


def _shift(text: str) -> str:
    if text != "end":
        duration_s(text)
    return text


class _OneLine(argparse.ArgumentParser):
    """Says what is wrong in one line, exit code 2."""

    def error(self, message: str) -> Any:
        raise UserError(message)


def options(argv: Sequence[str]) -> Options:
    """The options of a command line.

    Raises:
        UserError: a bad argument, in one line.
    """
    parser = _OneLine(
        prog="movers simulate",
        description="Plays both venues from a tape on one loopback port.",
        epilog="example: movers simulate --port 8900 --speed 60    then: curl localhost:8900/simulator/status",
    )
    parser.add_argument("--port", type=_port, required=True, help="port to listen on; 0 finds a free one")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: loopback)")
    parser.add_argument("--markets", type=_market_count, default=500, help="house tape: open markets of both venues")
    parser.add_argument("--seed", type=int, default=1, help="house tape: same seed and start, same tape")
    parser.add_argument("--since", type=duration_s, default=7_200.0, metavar="2h", help="house tape: how far back")
    parser.add_argument(
        "--past", type=duration_s, default=0.0, metavar="25h", help="house tape: prices of before it, for histories"
    )
    parser.add_argument("--speed", type=_positive, default=60.0, help="tape seconds a second until the present")
    parser.add_argument("--tape", type=Path, help="play this recording instead (see simulator/README.md)")
    parser.add_argument("--lockstep", action="store_true", help="step on only when a full price sweep was served")
    parser.add_argument("--truth", type=Path, help="house tape: write the news jumps here, as JSON lines")
    parser.add_argument("--shift", type=_shift, metavar="end|2h", help="recording: ends now, or starts so long ago")
    given = parser.parse_args(argv)
    if given.tape is None and given.shift:
        raise UserError("--shift moves a recording: it needs --tape")
    if given.tape is not None and given.truth:
        raise UserError("--truth is known for the house tape only, not with --tape")
    values = vars(given)
    return Options(since_s=values.pop("since"), past_s=values.pop("past"), **values)


def open_tape(chosen: Options, truth: IO[bytes] | None = None) -> Tape:
    """The tape to play.

    Raises:
        UserError: the recording cannot be read.
    """
    now_us = real_now_us()
    if chosen.tape is None:

        def tell(row: dict[str, Any]) -> None:
            if truth is not None:
                truth.write(orjson.dumps(row) + b"\n")

        start_us = (now_us - int(chosen.since_s * US_PER_S)) // US_PER_S * US_PER_S
        return HouseTape(chosen.seed, chosen.markets, start_us, tell if truth is not None else None)
    tape = read_tape(chosen.tape)
    if chosen.shift == "end":
        return tape.shifted(now_us - (tape.end_us or tape.start_us))
    if chosen.shift:
        return tape.shifted(now_us - int(duration_s(chosen.shift) * US_PER_S) - tape.start_us)
    return tape
