"""A tape with another model of a market than the simulator's: what is true on it is known, and is to be found.

Each market's log-odds walk with heavy tails; its quotes come at random moments, with the noise of a book that is moved
by one order; trades bounce between bid and ask. Into that are put jumps that hold, spikes of seconds, lone prints far
from the book, books that widen so that the last trade is the price, rows without a book, rows twice and out of order.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterator
from pathlib import Path

from tests.movers.backtest.test_run import NIGHT, backtest

HOURS = 4

EVERY_S = 12.0
"""Mean time between two quotes of a market."""

Row = tuple[float, str, float, float | str, float | str, float]


def market(name: str, seed: int, events: dict[float, tuple[str, float]]) -> Iterator[Row]:
    """Rows of one market. `events`: what happens, and by how much (0..1), so many seconds after the beginning."""
    rng = random.Random(seed)
    at_s, odds, last, ends_s, shift, spread = 0.0, rng.uniform(-0.3, 0.3), 0.5, 0.0, 0.0, 0.01
    to_come = dict(sorted(events.items()))
    while at_s < HOURS * 3600:
        odds += 0.0006 * rng.gauss(0, 1) / math.sqrt(rng.gammavariate(1.5, 2) / 3)
        if at_s >= ends_s:
            shift, spread = 0.0, 0.01
        printed = False
        if to_come and at_s >= min(to_come):
            kind, size = to_come.pop(min(to_come))
            if kind == "jump":
                price = 1 / (1 + math.exp(-odds)) + size
                odds = math.log(price / (1 - price))
            elif kind == "spike":
                shift, ends_s = size, at_s + rng.uniform(5, 30)
            elif kind == "wide":
                spread, ends_s = 0.16, at_s + 300
            else:
                printed = True
        price = 1 / (1 + math.exp(-odds)) + shift + rng.gauss(0, 0.0015)
        bid, ask = round(price - spread / 2, 3), round(price + spread / 2, 3)
        if printed:
            last = round(price + size, 3)
        elif rng.random() < 0.4:
            last = rng.choice((bid, ask))
        without = rng.random() < 0.02
        row = (NIGHT + round(at_s, 3), name, last, "" if without else bid, "" if without else ask, 20.0)
        yield row
        if rng.random() < 0.01:
            yield row
        # A spike is over when its order is gone, not when somebody else quotes.
        at_s = min(at_s + rng.expovariate(1 / EVERY_S) + 0.001, ends_s if at_s < ends_s else math.inf)


def test_on_a_tape_that_is_not_the_houses_jumps_are_found_and_nothing_else(tmp_path: Path) -> None:
    hours = [3600.0 * n for n in range(1, HOURS)]
    happens: dict[str, list[tuple[str, float]]] = {
        "CALM": [],
        "JUMPS": [("jump", 0.2), ("jump", -0.15), ("jump", 0.09)],
        "SPIKES": [("spike", 0.2), ("spike", -0.12), ("spike", 0.25)],
        "PRINTS": [("print", 0.2), ("print", -0.2), ("print", 0.3)],
        "WIDE": [("wide", 0.0), ("wide", 0.0), ("wide", 0.0)],
        "MIXED": [("spike", 0.15), ("jump", 0.12), ("print", -0.2)],
    }
    rows = [
        row
        for seed, (name, events) in enumerate(happens.items())
        for row in market(name, seed, dict(zip(hours, events, strict=False)))
    ]
    rows.sort(key=lambda row: row[0] + random.Random(str(row)).uniform(0, 3))
    labels = tmp_path / "labels.csv"
    jumps = [
        f"{NIGHT + at_s},{name}\n"
        for name, events in happens.items()
        for at_s, (kind, _) in zip(hours, events, strict=False)
        if kind == "jump"
    ]
    labels.write_text("ts,market\n" + "".join(jumps))

    told = backtest(tmp_path, rows, "--labels", str(labels), header="ts,market,price,bid,ask,size_usd")

    summary = told["summary"]
    assert (summary["labels"], summary["visible"], summary["found"]) == (4, 4, 4)
    assert (summary["steps"], summary["right"]) == (4, 4)
    assert sorted(a["market"] for a in told["alerts"] if a["confirmed_us"]) == ["JUMPS", "JUMPS", "JUMPS", "MIXED"]
    assert {a["market"] for a in told["alerts"] if a["reverted_us"]} == {"SPIKES", "MIXED"}
