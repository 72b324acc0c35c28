"""What the simulated streams told, change by change, numbered: what a test holds our topics against."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Any, Final

from schemas.units import PPM
from simulator.world import Change

KEPT: Final = 200_000
"""Changes that are kept; the oldest go first."""


@dataclass(slots=True)
class Entry:
    """One change of one market and the connections (by number) that were told, or that a fault kept it from."""

    number: int
    venue: str
    change: Change
    bid_ppm: int | None
    ask_ppm: int | None
    last_ppm: int | None
    told: list[int]
    withheld: list[int]

    def row(self) -> dict[str, Any]:
        """As JSON. Prices 0..1, null where there is none; `kind` names the tape line behind it."""
        line = self.change.line
        prices = {"bid": self.bid_ppm, "ask": self.ask_ppm, "last": self.last_ppm}
        return {
            "number": self.number,
            "venue": self.venue,
            "market": self.change.state.market.market,
            "ts_us": line.ts_us,
            "kind": type(line).__name__.lower(),
            **{name: None if ppm is None else ppm / PPM for name, ppm in prices.items()},
            "trade": getattr(line, "trade", None) is not None,
            "told": self.told,
            "withheld": self.withheld,
        }


class Ledger:
    """Off until asked for, since it costs memory."""

    def __init__(self) -> None:
        self.on = False
        self._entries: deque[Entry] = deque(maxlen=KEPT)
        self._count = 0

    def enter(self, venue: str, change: Change, told: list[int], withheld: list[int]) -> None:
        """A change has been told to the streams of its venue."""
        if not self.on or not (told or withheld):
            return
        self._count += 1
        state = change.state
        self._entries.append(
            Entry(self._count, venue, change, state.bid_ppm, state.ask_ppm, state.last_ppm, told, withheld)
        )

    def rows(self, after: int, limit: int) -> list[dict[str, Any]]:
        """At most `limit` entries with a number over `after`, in order."""
        found = [entry for entry in self._entries if entry.number > after]
        return [entry.row() for entry in found[:limit]]
