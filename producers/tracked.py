"""The markets a collector follows: what is known of each, what has changed, what is worth publishing, what is busy.

Every question that is asked often is answered from counts kept up to date, never by a walk over all markets: there
are a hundred thousand, and the answer is wanted between two frames.
"""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, fields
from typing import Literal, NamedTuple

from producers.feed_state import GAP_PROMISES
from producers.ticks import Moment, Shown, promised_s
from schemas.events import Market
from schemas.units import US_PER_S, event_id
from schemas.words import OPEN_STATUSES, MarketStatus, TickSource

_SLOW_FIELDS = tuple(f.name for f in fields(Market) if f.name not in ("event_id", "ts_event_us", "ts_received_us"))

RANK: dict[TickSource, int] = {"backfill": 0, "sweep": 1, "hot": 2, "stream": 3}
"""Which source is believed where two show the same market at once."""

SLACK_US = 2 * US_PER_S
"""Dates are cut to seconds and a venue's servers differ by as much: only what is older by more is old."""

_DUE_BUCKET_US = 10 * US_PER_S
_FORGOTTEN_CRAWLS = 3

LeftOut = Literal["repeated", "older_than_shown", "outranked", "ended"]
"""Why a state that was shown is not published: the same as before at no later moment; from a cache, or overtaken on its
way, older than what was published; by a sweep while a stream shows the market; of a market whose end was told."""


class Verdict(NamedTuple):
    """What `Tracked.admit` decided: the instant under which a state is published, or why it is not."""

    ts_event_us: int
    left_out: LeftOut | None
    after_gap: bool = False


class Told(NamedTuple):
    """What is remembered of a market message: enough to tell whether the next one says something else."""

    market_id: str
    venue_market_id: str
    token_id: str
    content: str
    category: str
    event_key: str
    status: MarketStatus
    told_us: int

    @classmethod
    def of(cls, market: Market) -> Told:
        """What to remember of a message."""
        return cls(
            market.market_id,
            market.venue_market_id,
            market.token_ids[0] if market.token_ids else "",
            market.event_id,
            market.category,
            market.event_key,
            market.status,
            market.ts_event_us,
        )


def content_id(market: Market) -> str:
    """Id of what a market message says, whenever it is said."""
    return event_id(*(repr(getattr(market, name)) for name in _SLOW_FIELDS))


@dataclass(slots=True, kw_only=True)
class Known:
    """What is known of one market. Times in microseconds UTC by the venue's clock; 0 = never."""

    market_id: str
    venue_market_id: str
    content: str = ""
    category: str = ""
    event_key: str = ""
    event_seen_in: int = 0
    """Crawl in which the market was last met under that event."""
    token_id: str = ""
    status: MarketStatus = "open"
    """As last seen."""
    told: MarketStatus | Literal[""] = ""
    """As last said in a market message."""
    told_us: int = 0
    seen_in_crawl: int = 0
    looked_up_in: int = 0
    shown: Shown | None = None
    """What was last published. Without its row."""
    seen_us: int = 0
    """When it was last shown, published or not."""
    as_of_us: int = 0
    """As of when the last published state was."""
    received_us: int = 0
    """When that came, by our clock."""
    event_us: int = 0
    """`ts_event_us` of the last tick."""
    leader: TickSource = "backfill"
    """What shows it; a stream until its lease is over."""
    lease_us: int = 0
    due_bucket: int = 0
    gap: bool = False
    """Its next tick comes after a gap."""


class Tracked:
    """The markets of one collector by market_id. Belongs to one event loop; knows no clock and no venue.

    Its length may be asked from another thread.

    Args:
        busiest: so many markets can be asked of `busiest`.
    """

    def __init__(self, busiest: int = 0) -> None:
        self._known: dict[str, Known] = {}
        self._of_token: dict[str, str] = {}
        self._ended: dict[int, _Ended] = {}
        self._forgotten_us = 0
        """The newest instant of all markets that are forgotten: should one come back, its time goes on from there."""
        self._crawl = 0
        self.watched_until_us = 0
        """Until when somebody watched before this process began; 0 when nobody ever did."""
        self._blind = False
        self._open = 0
        self._due: Counter[int] = Counter()
        self._busy = _Busy(busiest)

    def __len__(self) -> int:
        """Open markets followed."""
        return self._open

    @property
    def held(self) -> int:
        """Markets in memory, ended ones whose end is still to be told included."""
        return len(self._known)

    @property
    def ended(self) -> int:
        """Markets that are only remembered as ended."""
        return len(self._ended)

    def get(self, market_id: str) -> Known | None:
        """What is known of a market."""
        return self._known.get(market_id)

    def remembers(self, market_id: str) -> bool:
        """Whether a market is followed, or was met of late though its end was told."""
        return market_id in self._known or hash(market_id) in self._ended

    def is_open(self, market_id: str) -> bool:
        """Whether a market may still trade, as last seen."""
        known = self._known.get(market_id)
        return known is not None and known.status in OPEN_STATUSES

    def known_of(self, token_id: str) -> Known | None:
        """What is known of the market that a token belongs to."""
        return self._known.get(self._of_token.get(token_id, ""))

    def last_shown(self, token_id: str) -> Shown | None:
        """What was last published of the market that a token belongs to."""
        known = self.known_of(token_id)
        return None if known is None else known.shown

    @property
    def tokens(self) -> int:
        """How many tokens are known."""
        return len(self._of_token)

    def token_ids(self) -> list[str]:
        """All of them."""
        return list(self._of_token)

    def category(self, market_id: str) -> str:
        """Our category of a market; empty while its metadata is not known."""
        known = self._known.get(market_id)
        return known.category if known else ""

    # ── metadata ─────────────────────────────────────────────────────────────────────────────────────────────────────

    def changed(self, market: Market) -> bool:
        """Takes note of a market's metadata. True when it is new or says something else than before.

        An answer from a cache does not take back what a newer one said. A market that two events list stays with the
        one it was met in, as long as that one goes on listing it.
        """
        if self._has_ended(market.market_id, market.status, market.ts_event_us):
            return False
        known = self._known.get(market.market_id) or self._begin(market.market_id, market.venue_market_id)
        is_new = not known.told
        known.seen_in_crawl = self._crawl
        if known.event_key in ("", market.event_key):
            known.event_seen_in = self._crawl
        elif known.event_seen_in >= self._crawl - 1:
            return False
        if market.ts_event_us + SLACK_US < known.told_us:
            return False
        known.told_us = max(known.told_us, market.ts_event_us)
        known.event_key = market.event_key
        known.category, known.told = market.category, market.status
        self._set_status(known, market.status)
        changed = known.content != market.event_id
        known.content = market.event_id
        if known.told == "settled" and (is_new or (known.shown and known.shown.market_status == "settled")):
            self._end(known)
        return changed

    def restore(self, told: Told, safe_until_us: int | None, promise_s: int = 0) -> None:
        """A market as it was told before this process began.

        Args:
            told: its last message.
            safe_until_us: until when all that was seen is known to have got through; None where that is not known. A
                market that settled later is asked for once more: its last tick may have gone down with the process.
            promise_s: what ticks promised then, if anything: it is owed on.
        """
        status = told.status
        if status == "settled":
            if safe_until_us is None or told.told_us + SLACK_US < safe_until_us:
                self._ended[hash(told.market_id)] = _Ended(self._crawl, told.told_us)
                return
            status = "closed"
        known = self._begin(told.market_id, told.venue_market_id)
        known.content, known.category, known.event_key = told.content, told.category, told.event_key
        known.told, known.told_us, known.token_id = status, told.told_us, told.token_id
        self._set_status(known, status)
        self._of_token[told.token_id] = told.market_id
        if status == "open" and safe_until_us is not None:
            self._promise(known, safe_until_us, promise_s)

    def untold(self, shown: Shown) -> bool:
        """Whether a price was shown of a market whose metadata, or whose present status, was never told."""
        known = self._known.get(shown.market_id)
        return known is None or known.told != shown.market_status

    # ── prices ───────────────────────────────────────────────────────────────────────────────────────────────────────

    def admit(self, shown: Shown, moment: Moment) -> Verdict:
        """Takes note of what was shown. Says under which instant to publish it, or why not.

        The order of arrival decides: each published state of a market gets a later instant than the one before, by a
        microsecond where the venue's clock does not move on. Left out is only what brings nothing: the same state at
        no later moment, a cache's older answer, an answer that another one overtook on its way and whose Date is the
        older one, what a poll says of a market that a healthy stream shows (`lease`), and what comes after the end.
        """
        if self._has_ended(shown.market_id, shown.market_status, moment.as_of_us):
            return Verdict(0, "ended")
        known = self._known.get(shown.market_id)
        if known is None:
            known = self._begin(shown.market_id, shown.market_id.partition(":")[2])
        known.seen_us = max(known.seen_us, moment.as_of_us)
        left_out = _left_out(known, shown, moment)
        if left_out:
            return Verdict(0, left_out)
        if known.token_id != shown.token_id:
            self._lose_token(known)
            self._of_token[shown.token_id], known.token_id = shown.market_id, shown.token_id
        known.event_us = max(moment.as_of_us, known.event_us + 1)
        known.as_of_us, known.shown, known.received_us = moment.as_of_us, shown, moment.ts_received_us
        if moment.as_of_us >= known.lease_us:
            known.leader = moment.source
        after_gap, known.gap = known.gap, False
        self._set_status(known, shown.market_status)
        self._promise(known, known.event_us, promised_s(shown, moment))
        self._busy.saw(known.market_id, (shown.volume_24h_usd or 0.0) if shown.market_status == "open" else None)
        if shown.market_status == known.told == "settled":
            self._end(known)
        return Verdict(known.event_us, None, after_gap)

    def blind_since_us(self, market_id: str) -> int | None:
        """Since when nobody has seen a market that is shown now; None when it is seen all the time."""
        known = self._known.get(market_id)
        if known is None or known.shown is None:
            told_us = self._told_until_us(market_id) if known is None else known.event_us
            return max(self.watched_until_us, told_us)
        return max(known.event_us, known.seen_us) if known.gap else None

    def lease(self, market_ids: Iterable[str], until_us: int) -> None:
        """A healthy stream shows these markets: sweeps and hot polls leave them to it until then."""
        for market_id in market_ids:
            known = self._known.get(market_id)
            if known is not None:
                known.leader, known.lease_us = "stream", until_us

    def unlease(self, market_ids: Iterable[str]) -> None:
        """Their stream is gone or in doubt: whatever shows them next is believed, and told as coming after a gap."""
        for market_id in market_ids:
            known = self._known.get(market_id)
            if known is not None:
                known.leader, known.lease_us, known.gap = "backfill", 0, True

    # ── crawls ───────────────────────────────────────────────────────────────────────────────────────────────────────

    def begin_crawl(self) -> None:
        """A crawl of all metadata begins."""
        self._crawl += 1
        oldest = self._crawl - _FORGOTTEN_CRAWLS
        if self._crawl % _FORGOTTEN_CRAWLS == 0:
            gone = (ended.told_us for ended in self._ended.values() if ended.seen_in_crawl < oldest)
            self._forgotten_us = max(self._forgotten_us, max(gone, default=0))
            self._ended = {key: ended for key, ended in self._ended.items() if ended.seen_in_crawl >= oldest}

    def vanished(self, count: int) -> list[str]:
        """Venue ids of markets that the crawl, now complete, did not meet though their end has not been told.

        At most `count`: first those that were open, then those that wait for their result, or whose last tick was left
        out as older than a stream's, the longest waiting first.
        """
        missing = [known for known in self._known.values() if known.seen_in_crawl < self._crawl]
        chosen = heapq.nsmallest(count, missing, key=lambda k: (k.status not in OPEN_STATUSES, k.looked_up_in))
        for known in chosen:
            known.looked_up_in = self._crawl
        return [known.venue_market_id for known in chosen]

    def met(self, market_id: str) -> bool:
        """Whether this crawl, or the look-ups after it, met a market, or it has ended."""
        known = self._known.get(market_id)
        return known is None or known.seen_in_crawl == self._crawl

    def unseen_since(self, moment_us: int, count: int) -> list[Known]:
        """Markets that trade and that nothing has shown since then, the longest unseen first."""
        unseen = (k for k in self._known.values() if k.status == "open" and k.seen_us < moment_us)
        return heapq.nsmallest(count, unseen, key=lambda known: known.seen_us)

    def forget(self, market_id: str) -> None:
        """Stops following a market that the venue no longer knows."""
        known = self._known.get(market_id)
        if known is not None:
            self._forgotten_us = max(self._forgotten_us, known.event_us)
            self._drop(known)

    # ── how they are ─────────────────────────────────────────────────────────────────────────────────────────────────

    def busiest(self, count: int) -> list[Known]:
        """The open markets with the highest 24-hour volume, busiest first."""
        return [self._known[market_id] for market_id in self._busy.first(count) if market_id in self._known]

    def stale(self, now_us: int) -> int:
        """Markets that trade and whose last tick is older than `GAP_PROMISES` times its promise; to ten seconds."""
        now_bucket = now_us // _DUE_BUCKET_US
        return sum(count for bucket, count in self._due.items() if bucket < now_bucket)

    def gap_began(self, now_us: int, *, until_told: bool = False) -> None:
        """The feed was blind for longer than promised: the next tick of each market that no stream shows says so, and
        the first tick of each that is met until `gap_over`, if that will be told."""
        self._blind = until_told
        for known in self._known.values():
            if known.leader != "stream" or known.lease_us <= now_us:
                known.gap = True

    def gap_over(self) -> None:
        """A whole sweep has shown what there is."""
        self._blind = False

    # ── bookkeeping ──────────────────────────────────────────────────────────────────────────────────────────────────

    def _begin(self, market_id: str, venue_market_id: str) -> Known:
        known = self._known[market_id] = Known(market_id=market_id, venue_market_id=venue_market_id, gap=self._blind)
        known.event_us = self._told_until_us(market_id)
        self._ended.pop(hash(market_id), None)
        self._open += 1
        return known

    def _told_until_us(self, market_id: str) -> int:
        """Up to when ticks of a market that is not followed may have been told: it may be one that was forgotten."""
        ended = self._ended.get(hash(market_id))
        return self._forgotten_us if ended is None else ended.told_us

    def _set_status(self, known: Known, status: MarketStatus) -> None:
        self._open += (status in OPEN_STATUSES) - (known.status in OPEN_STATUSES)
        known.status = status
        if status not in OPEN_STATUSES:
            self._promise(known, 0, 0)
            self._busy.saw(known.market_id, None)

    def _promise(self, known: Known, at_us: int, heartbeat_s: int) -> None:
        """Counts a market that trades under the ten seconds in which it becomes stale."""
        if known.due_bucket:
            self._due[known.due_bucket] -= 1
            if not self._due[known.due_bucket]:
                del self._due[known.due_bucket]
        known.due_bucket = 0
        if heartbeat_s:
            known.due_bucket = (at_us + int(heartbeat_s * GAP_PROMISES * US_PER_S)) // _DUE_BUCKET_US
            self._due[known.due_bucket] += 1

    def _has_ended(self, market_id: str, status: MarketStatus, at_us: int) -> bool:
        """Whether a market's end was told, and this is not a newer word that takes it back."""
        key = hash(market_id)
        ended = self._ended.get(key)
        if ended is None:
            return False
        if status != "settled" and at_us > ended.told_us + SLACK_US:
            return False
        if status == "settled" and ended.seen_in_crawl != self._crawl:
            self._ended[key] = _Ended(self._crawl, ended.told_us)
        return True

    def _end(self, known: Known) -> None:
        """Its end was told, by market message and by tick: it leaves the memory but for a few bytes."""
        self._ended[hash(known.market_id)] = _Ended(self._crawl, max(known.told_us, known.event_us))
        self._drop(known)

    def _drop(self, known: Known) -> None:
        self._set_status(known, "settled")
        del self._known[known.market_id]
        self._lose_token(known)

    def _lose_token(self, known: Known) -> None:
        """Unless it is another market's by now."""
        if self._of_token.get(known.token_id) == known.market_id:
            del self._of_token[known.token_id]


def _left_out(known: Known, shown: Shown, moment: Moment) -> LeftOut | None:
    last, polled = known.shown, moment.source != "stream"
    if last is None:
        return None
    led = known.leader == "stream" and moment.as_of_us < known.lease_us
    if polled and led and shown.market_status == last.market_status and _top(shown) != _top(last):
        return "outranked"
    # Dates are cut to seconds and servers differ; but beside a better source, or where two answers were on their way at
    # once, what is not newer is old. No better source tells of another status.
    overtaken = moment.ts_asked_us is not None and moment.ts_asked_us < known.received_us
    outdone = RANK[moment.source] < RANK[known.leader] and shown.market_status == last.market_status
    slack_us = 0 if overtaken or outdone else SLACK_US
    if polled and moment.as_of_us + slack_us < known.as_of_us:
        return "older_than_shown"
    if (moment.as_of_us <= known.as_of_us or not polled) and shown.said == last.said and not shown.trades:
        return "repeated"
    return None


def _top(shown: Shown) -> tuple[int | None, int | None]:
    return shown.quote.bid_ppm, shown.quote.ask_ppm


class _Ended(NamedTuple):
    """What is left of a market whose end was told."""

    seen_in_crawl: int
    told_us: int


class _Busy:
    """The markets with the highest volume, kept as volumes come by instead of sorted out of all.

    Holds up to twice as many as are wanted. One that was below the floor when it was last seen gets in at its next
    sight, should others leave.
    """

    def __init__(self, wanted: int) -> None:
        self._wanted = wanted
        self._volumes: dict[str, float] = {}
        self._floor = 0.0

    def saw(self, market_id: str, volume_usd: float | None) -> None:
        """Takes note of a market's volume; None when it is no longer open."""
        if not self._wanted:
            return
        if volume_usd is None or volume_usd < self._floor:
            if self._volumes.pop(market_id, None) is None or len(self._volumes) >= self._wanted:
                return
            self._floor = 0.0
            if volume_usd is None:
                return
        self._volumes[market_id] = volume_usd
        if len(self._volumes) > 2 * self._wanted:
            self._volumes = {market_id: self._volumes[market_id] for market_id in self.first(self._wanted)}
            self._floor = min(self._volumes.values())

    def first(self, count: int) -> list[str]:
        """The busiest, busiest first."""
        return heapq.nlargest(count, self._volumes, key=self._volumes.__getitem__)
