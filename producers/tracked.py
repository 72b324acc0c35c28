"""The markets a collector follows: what is known of each, what has changed, which are the busiest."""

from __future__ import annotations

import heapq
from dataclasses import dataclass, fields
from typing import Literal

from schemas.events import Market, Tick
from schemas.units import event_id
from schemas.words import MarketStatus

_SLOW_FIELDS = tuple(f.name for f in fields(Market) if f.name not in ("event_id", "ts_event_us", "ts_received_us"))

OPEN_STATUSES: frozenset[str] = frozenset[MarketStatus](("unopened", "open", "paused"))
"""A market in one of these may still trade."""


def content_id(market: Market) -> str:
    """Id of what a market message says, whenever it is said."""
    return event_id(*(repr(getattr(market, name)) for name in _SLOW_FIELDS))


@dataclass(slots=True)
class Known:
    """What is known of one market. Times in microseconds UTC by the venue's clock; 0 = never."""

    venue_market_id: str
    content: str = ""
    category: str = ""
    status: MarketStatus | Literal["unknown"] = "open"
    """As last seen."""
    told: MarketStatus | Literal["unknown", ""] = ""
    """As last said in a market message."""
    seen_in_crawl: int = 0
    looked_up_in: int = 0
    last_tick_us: int = 0
    last_hot_us: int = 0
    newest: Tick | None = None


class Tracked:
    """The markets of one venue by market_id. Not thread-safe; knows no clock and no venue."""

    def __init__(self) -> None:
        self._known: dict[str, Known] = {}
        self._crawl = 0

    def __len__(self) -> int:
        """Open markets followed."""
        return sum(1 for known in self._known.values() if known.status in OPEN_STATUSES)

    def get(self, market_id: str) -> Known | None:
        """What is known of a market."""
        return self._known.get(market_id)

    def category(self, market_id: str) -> str:
        """Our category of a market; empty while its metadata is not known."""
        known = self._known.get(market_id)
        return known.category if known else ""

    def changed(self, market: Market) -> bool:
        """Takes note of a market's metadata. True when it is new or says something else than before."""
        known = self._known.setdefault(market.market_id, Known(market.venue_market_id))
        known.seen_in_crawl = self._crawl
        known.category, known.status, known.told = market.category, market.status, market.status
        if known.content == market.event_id:
            return False
        known.content = market.event_id
        return True

    def admit(self, tick: Tick, *, hot_rests_us: int) -> str:
        """Takes note of a tick. Empty when it is to be published, else why not.

        Time runs forward in a market: a second tick of the same moment, or one from before (a cached answer), is
        `not_newer`. While a market is polled hot, the sweep's quote of it (older: it comes from a cache) is
        `hot_is_fresher`; that ends when no hot tick came for `hot_rests_us`, so the sweep takes over by itself.
        """
        known = self._known.get(tick.market_id)
        if known is None:
            known = self._known[tick.market_id] = Known(tick.market_id.split(":", 1)[1])
        known.status = tick.market_status
        if tick.source != "hot":
            known.newest = tick
            if tick.ts_event_us - known.last_hot_us < hot_rests_us and tick.market_status == "open":
                return "hot_is_fresher"
        if tick.ts_event_us <= known.last_tick_us:
            return "not_newer"
        known.last_tick_us = tick.ts_event_us
        if tick.source == "hot":
            known.last_hot_us = tick.ts_event_us
        return ""

    def begin_crawl(self) -> None:
        """A crawl of all metadata begins."""
        self._crawl += 1

    def vanished(self, count: int) -> list[str]:
        """Venue ids of markets that the crawl, now complete, did not meet though their end has not been told.

        At most `count`: first those that were open, then those that wait for their result, the longest waiting first.
        """
        missing = [
            known
            for known in self._known.values()
            if known.seen_in_crawl < self._crawl and (known.told in OPEN_STATUSES or known.told == "closed")
        ]
        chosen = heapq.nsmallest(count, missing, key=lambda known: (known.told == "closed", known.looked_up_in))
        for known in chosen:
            known.looked_up_in = self._crawl
        return [known.venue_market_id for known in chosen]

    def met(self, market_id: str) -> bool:
        """Whether this crawl, or the look-ups after it, met a market."""
        known = self._known.get(market_id)
        return known is not None and known.seen_in_crawl == self._crawl

    def forget(self, market_id: str) -> None:
        """Stops following a market that the venue no longer knows."""
        known = self._known.get(market_id)
        if known is not None:
            known.status = known.told = "unknown"

    def busiest(self, count: int) -> list[Tick]:
        """Newest swept ticks of the open markets with the highest 24-hour volume, busiest first."""
        ticks = [k.newest for k in self._known.values() if k.newest is not None and k.status == "open"]
        return heapq.nlargest(count, ticks, key=lambda tick: tick.volume_24h_usd or 0.0)

    def stale(self, now_us: int, promises: float) -> int:
        """Open markets whose last tick is older than so many times what it promised."""
        return sum(
            1
            for known in self._known.values()
            if known.status == "open"
            and known.newest is not None
            and known.newest.heartbeat_s > 0
            and now_us - known.last_tick_us > known.newest.heartbeat_s * promises * 1_000_000
        )
