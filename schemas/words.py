"""Every closed list of words that crosses the wire, as a type. mypy checks each mapper and rule against them.

The `.avsc` files carry the same lists as `words` of their fields; `tests/schemas/test_words.py` holds both equal.
Venues and stages are no closed lists: a venue or a processor is added without touching this file.
"""

from __future__ import annotations

from typing import Literal, get_args

MarketStatus = Literal["unopened", "open", "paused", "closed", "settled"]
"""unopened, open and paused may still trade; closed waits for its result."""

PriceBasis = Literal["mid", "last", "none"]
"""What the price of a quote is: the middle of both sides, the last trade, or nothing."""

TimeBasis = Literal["venue", "http_date", "received"]
"""Where the time of an event comes from: a stamp of the payload, the Date header less Age, or our clock."""

TickSource = Literal["stream", "hot", "sweep", "backfill"]
"""How a quote reached us, the freshest kind first."""

TickFlag = Literal["crossed", "one_sided", "empty", "out_of_range", "wide", "clock_skew", "stale", "after_gap"]
"""What is odd about a quote, or about the way it came."""

Category = Literal[
    "politics",
    "elections",
    "economics",
    "finance",
    "crypto",
    "sports",
    "culture",
    "science_tech",
    "climate",
    "world",
    "mentions",
    "other",
]
"""Our categories, the same on all venues."""

UnknownCategory = Literal[""]
"""The category of a market whose metadata has not come yet."""

RawKind = Literal["rest", "ws", "notes"]
"""An HTTP answer, WebSocket frames, or what the collector did beside them."""

Errand = Literal["crawl", "sweep", "hot", "lookup", "history", "stream"]
"""What an answer was asked for, or a frame subscribed to."""

FeedWord = Literal["connected", "degraded", "disconnected", "gap_opened", "gap_closed"]
"""What a collector says of its feed."""

EpisodeState = Literal["detected", "confirmed", "reverted", "escalated", "closed"]
"""What an alert message tells of its episode. `reverted` and `closed` are its end."""

AlertKind = Literal["move", "settlement", "across_gap"]
"""A settlement (the price runs to 0 or 1 as the market ends) and a move across a gap of the feed are listed, not
shouted."""

Direction = Literal["up", "down"]

CloseReason = Literal["market_ended", "price_lost", "rolled_off", "reversed", "faded", "rule_removed", "superseded"]
"""Why an episode is over."""

NoMove = Literal["not_covered", "in_gap", "no_price", "basis_changed", "no_price_now"]
"""Why a window has no move: nothing to compare with, or nothing alike."""

PairNoMove = NoMove | Literal["no_mid", "not_at_one_time"]
"""Why a pair of markets has no move: one has none, or its price now is a last trade, or theirs end too far apart."""

Severity = Literal["low", "medium", "high"]
"""How much an alert matters, the least first."""

Factor = Literal[
    "standing",
    "two_sided",
    "dollars",
    "trades",
    "unusual",
    "basis",
    "continuous",
    "lifecycle",
    "siblings",
    "other_venue",
]
"""What speaks for a move or against it."""

ScoreName = Literal["plain", "signal"]
"""How moves are ranked; see `processors.analytics.scoring`."""

RuleDirection = Literal["up", "down", "both"]
"""Which moves an alert rule looks at."""

OPEN_STATUSES: frozenset[MarketStatus] = frozenset(("unopened", "open", "paused"))
"""Of a market that may still trade."""

ENDED_STATES: frozenset[EpisodeState] = frozenset(("reverted", "closed"))
"""Of an episode that is over."""

MARKET_STATUSES: tuple[MarketStatus, ...] = get_args(MarketStatus)
"""In an order that stored histories count by: a new word goes to the end."""

CATEGORIES: tuple[Category, ...] = get_args(Category)
