"""The board as it was: each venue minute, the top rows of each window go to `movers_cache`."""

from __future__ import annotations

from kernel.settings import RuleSettings
from schemas.units import US_PER_S, window_label
from sinks.clickhouse.store import Store

TOP = 100
"""Rows of each window."""

MINUTE_US = 60 * US_PER_S
_NEWEST = "SELECT toUnixTimestamp64Micro(max(as_of_ts)) FROM movers_cache"

_RANK = """
INSERT INTO movers_cache
    (as_of_ts, window, rank, token_id, market_id, venue, ts, price_now, price_then, move_pp, abs_move_pp, score,
     volume_24h_usd, spread, computed_across_gap)
SELECT
    board_ts, window,
    row_number() OVER (PARTITION BY window ORDER BY score DESC, abs_move_pp DESC, token_id ASC) AS rank,
    token_id, market_id, venue, ts, assumeNotNull(price_now), assumeNotNull(price_then), assumeNotNull(move_pp),
    assumeNotNull(abs_move_pp), assumeNotNull(score), volume_24h_usd, spread, computed_across_gap
FROM board_rows(as_of = fromUnixTimestamp64Micro(toInt64(%(as_of)s), 'UTC'), windows = %(labels)s)
WHERE abs_move_pp > 0 AND NOT is_settling
  AND volume_24h_usd >= %(min_volume)s
  AND (isNull(window_volume_usd) OR window_volume_usd >= %(min_window_usd)s)
  AND spread <= toDecimal64(%(max_spread)s, 6)
QUALIFY rank <= %(top)s
"""


class Ranking:
    """Writes one board per venue minute, when the stored moves reach it.

    As of minute M the board is what the view `board_rows` gave when the first move of M or later was stored, of markets
    that do not settle, traded at least MIN_VOLUME_24H in a day and, where the venue tells, MIN_WINDOW_USD inside the
    window, and whose spread is known and at most MAX_SPREAD_PP; ranked from 1. When one batch of moves spans several
    minutes, only the last is written: the boards between were never seen by anybody.
    """

    def __init__(self, store: Store, rules: RuleSettings) -> None:
        self._store = store
        self._rules = rules
        self._written_us: int | None = None

    def advance(self, newest_move_us: int) -> bool:
        """Writes the board of the minute of `newest_move_us` unless it, or a later one, is there. True when written.

        Raises:
            TransientError: the store is away; call again.
        """
        minute_us = newest_move_us - newest_move_us % MINUTE_US
        if self._written_us is None:
            # Also after a failure: an insert whose answer was lost may be there, and it is there whole or not at all.
            self._written_us = self._store.rows(_NEWEST)[0][0]
        if minute_us <= self._written_us:
            return False
        written_us, self._written_us = self._written_us, None
        self._store.command(_RANK, self._parameters(minute_us))
        self._written_us = max(written_us, minute_us)
        return True

    def _parameters(self, minute_us: int) -> dict[str, object]:
        windows = self._rules.windows
        return {
            "as_of": minute_us,
            "labels": [window_label(window_s) for window_s in windows],
            "min_volume": self._rules.min_volume_24h,
            "min_window_usd": self._rules.min_window_usd,
            "max_spread": f"{self._rules.max_spread_pp / 100:.6f}",
            "top": TOP,
        }
