"""The newest move of each token over each window, and the title and category of its market."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from dashboard.board.newest import Array, NewestRows, Numbers, grown

Columns = Mapping[str, Array]
"""Rows of the store turned on their side: name to values."""

_OF_A_MOVE = {
    "price_now": "f8", "price_then": "f8", "move_pp": "f8", "score": "f8", "volume_24h_usd": "f8",
    "window_volume_usd": "f8", "spread_pp": "f8", "seconds_to_close": "f8", "is_settling": "?", "across_gap": "?",
    "shown_until_us": "i8", "coverage_s": "u4",
}  # fmt: skip


class Moves:
    """Filled with rows of `board_moves.sql` and `board_markets.sql`. Unknown numbers are NaN, times microseconds.

    A market is known when one of its tokens has moves; of others nothing is kept.
    """

    def __init__(self) -> None:
        self.tokens, self.markets = Numbers(), Numbers()
        self.venues, self.categories = Numbers(), Numbers()
        self._labels = Numbers()
        self.windows: dict[str, NewestRows] = {}
        self.facts = NewestRows({"title": "O", "category": "i2"})
        self._market_of, self._venue_of = np.empty(0, np.int64), np.empty(0, np.int16)

    @property
    def market_of(self) -> Array:
        """The market's number of each token."""
        return self._market_of[: len(self.tokens)]

    @property
    def venue_of(self) -> Array:
        """The venue's number of each token."""
        return self._venue_of[: len(self.tokens)]

    def put_moves(self, rows: Columns) -> None:
        """Takes moves in, of any windows, in any order, old ones too."""
        keys = self.tokens.of(rows["token_id"])
        markets, venues = self.markets.of(rows["market_id"]), self.venues.of(rows["venue"])
        self._market_of = grown(self._market_of, len(self.tokens))
        self._venue_of = grown(self._venue_of, len(self.tokens))
        self._market_of[keys], self._venue_of[keys] = markets, venues
        self.facts.reserve(len(self.markets))
        labels = self._labels.of(rows["window"])
        for number in np.unique(labels):
            at = np.flatnonzero(labels == number)
            self._window(self._labels.names[number]).put(
                keys[at], rows["ts_us"][at], rows["last_block"][at], {column: rows[column][at] for column in _OF_A_MOVE}
            )
        for window in self.windows.values():
            window.reserve(len(self.tokens))

    def put_markets(self, rows: Columns) -> None:
        """Takes titles and categories in, in any order, old ones too."""
        keys = self.markets.known(rows["market_id"])
        at = np.flatnonzero(keys >= 0)
        columns = {"title": rows["title"][at], "category": self.categories.of(rows["category"][at])}
        self.facts.put(keys[at], rows["ts_received_us"][at], rows["last_block"][at], columns)

    def _window(self, name: str) -> NewestRows:
        window = self.windows.setdefault(name, NewestRows(_OF_A_MOVE))
        window.reserve(len(self.tokens))
        return window
