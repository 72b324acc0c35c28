"""From what the streams tell to messages: ticks, raw batches, gaps; and from what polls show back to the streams.

A stream's change is published at once. While a stream shows a market, polls say three things of it: where they agree
they are its heartbeat, and bring its volume; where a poll of the live book disagrees it is a witness against the
stream; and everything else they show is left to the stream, and counted.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Final, Protocol

from prometheus_client import Counter as Metric

from kernel.clock import Clock
from kernel.errors import BadMessageError
from kernel.logs import get_logger
from producers.base import Errand, Received, Speech
from producers.batch import CONTENT_TYPE, Batch
from producers.changes import last_traded, same_prices, topped, traded
from producers.continuity import Continuity
from producers.facts import Fact, Facts, News, Top, Traded
from producers.intake import LEFT_OUT
from producers.journal import Journal
from producers.merge import Merge
from producers.shards import Shard
from producers.streams import Connection, Gap, Source
from producers.ticks import Moment, Shown, tick_of
from producers.tracked import Tracked
from producers.venue_clock import VenueClock
from schemas.events import Tick
from schemas.times import is_ahead
from schemas.units import US_PER_S
from schemas.words import OPEN_STATUSES, FeedWord

log = get_logger(__name__)

LEASE_S: Final = 15
"""For so long polls leave a market to its stream, unless the stream renews it."""

ALL_STREAMS: Final = "streams"
"""What `Tell` names where it speaks of no single connection."""

_BEGUN: Final = "a process before this one may have left a gap open"

_WEIGHED_AFTER_S: Final = 1.0

_KEPT_S: Final = 3_600.0
"""What is known of a market that nobody follows is kept for so long: one that is new may be followed soon."""

_RAW_WAITS_US: Final = US_PER_S
"""A message of raw frames costs as much as reading five frames, so it waits for more of them, but not for long."""

WITNESS = Metric(
    "movers_stream_witness", "What else shows a streamed market, held against it", ["venue", "by", "result"]
)
FRAMES = Metric("movers_stream_frames", "Messages of data on the streams", ["venue"])
GAPS = Metric("movers_stream_gaps", "Gaps of single connections", ["venue"])


class Out(Protocol):
    """Where messages go."""

    def tick(self, tick: Tick, category: str) -> None:
        """A quote."""

    def received(self, received: Received) -> None:
        """Bytes as received."""

    def refused(self, error: BadMessageError, channel: str) -> None:
        """Something unusable."""


Tell = Callable[[str, FeedWord, str, int | None, Sequence[str]], None]
"""Says something on `feed.status`: of which connection, what, in words, since when (our clock), of which markets."""


class Streamed:
    """Listens to the streams of one collector. Belongs to its event loop, and reads no clock but for stamps.

    Args:
        promise_s: venue seconds within which a market will be shown again, as the sweeps keep it.
        tell: for `feed.status`.
        news: hears the venue's ids of markets that something has happened to.
    """

    def __init__(
        self,
        shard: Shard,
        speech: Speech,
        tracked: Tracked,
        venue_clock: VenueClock,
        out: Out,
        clock: Clock,
        promise_s: Callable[[], int],
        tell: Tell,
        news: Callable[[str], None],
        journal: Journal | None = None,
    ) -> None:
        self.continuity = Continuity()
        self._shard, self._speech, self._tracked = shard, speech, tracked
        self._journal = journal or Journal()
        self._venue_clock, self._out, self._clock = venue_clock, out, clock
        self._promise_s, self._tell, self._news = promise_s, tell, news
        self._merge = Merge() if speech.mirrored else None
        self._newest_us: dict[str, int] = {}
        self._batches: dict[int, tuple[str, Batch]] = {}
        self._batch_numbers: dict[str, int] = {}
        self._begun: set[int] = set()
        self._has_begun = False
        self._counted = 0
        self._left_out: dict[str, int] = {}
        self._sightings: dict[str, tuple[Top, float]] = {}
        """What the second channel told last of a token, and since when (our monotonic clock) it waits to be weighed."""
        self._last_told: set[str] = set()
        """Tokens whose last trade the streams have told since their last gap; of that of others polls know more."""
        self._said: dict[str, Shown] = {}
        """What the streams had said of tokens when their gap began, until their book comes or it ends. Polls are
        believed of them since."""
        self.ticks = 0

    # ── what the streams tell ────────────────────────────────────────────────────────────────────────────────────────

    def told(self, source: Source, body: bytes, facts: Facts) -> None:
        """A message of data: kept as it is, and published as far as it changes anything."""
        self._counted += 1
        received_us = source.data_us
        self._keep(source, received_us, body)
        for error in facts.bad:
            self._out.refused(error, "stream")
        for channel, count in facts.missed.items():
            log.warning("stream_numbers_missed", venue=self._shard.venue, channel=channel, count=count)
        for ack in facts.acks:
            if ack.code:
                log.warning("stream_command_refused", venue=self._shard.venue, code=ack.code, text=ack.text)
        for fact in facts.facts:
            reason = self._take(source, fact, received_us)
            if reason:
                facts.leave_out(reason)
        for reason, count in facts.left_out.items():
            self._left_out[reason] = self._left_out.get(reason, 0) + count

    def _take(self, source: Source, fact: Fact, received_us: int) -> str:
        """Publishes a fact; or says why not."""
        if isinstance(fact, News):
            self._news(fact.market)
            return ""
        if self._merge is not None and not self._first(source, fact):
            return "told_by_twin"
        last = self._tracked.last_shown(self._speech.token_id(fact.token))
        if last is None:
            return "unknown_token"
        if last.market_status not in OPEN_STATUSES:
            return "not_open"
        if isinstance(fact, Traded) or fact.last_ppm is not None:
            self._last_told.add(fact.token)
        if isinstance(fact, Traded):
            return self._publish(traded(last, fact), fact.ts_us, received_us)
        shown = topped(last, fact)
        opening = fact.opening or not fact.ts_us
        changed = not same_prices(shown, last)
        if opening:
            said = self._said.pop(fact.token, last)
            self.continuity.reopened(fact.token, source.data_s, changed=not same_prices(shown, said, but_last=True))
        if not changed:
            return "top_unchanged"
        if fact.ts_us < self._newest_us.get(fact.token, 0) and not opening:
            return "older_than_shown"
        if opening and self._merge is not None and not fact.ts_us:
            return "opening_without_stamp"  # the other channels tell the same with a stamp
        self._newest_us[fact.token] = max(fact.ts_us, self._newest_us.get(fact.token, 0))
        return self._publish(shown, 0 if opening else fact.ts_us, received_us)

    def _first(self, source: Source, fact: Top | Traded) -> bool:
        if self._merge is None:
            return True
        if isinstance(fact, Traded):
            return self._merge.is_new(
                source.number, source.connection_id, fact.token, fact.ts_us, fact.trade_id, "trade"
            )
        state = (*fact[1:5], fact.last_ppm, fact.volume_contracts)
        return self._merge.is_new(source.number, source.connection_id, fact.token, fact.order, state, fact.channel)

    def _publish(self, shown: Shown, stamp_us: int, received_us: int) -> str:
        """`stamp_us` 0: an opening state, true as of now; its stamp is of its last change, which may be long ago."""
        now_us = self._venue_clock.now_us(received_us)
        believed = bool(stamp_us) and not is_ahead(stamp_us, received_us)
        moment = Moment(
            as_of_us=stamp_us if believed else now_us,
            ts_received_us=received_us,
            ts_event_basis="venue" if believed else "received",
            source="stream",
            heartbeat_s=self._promise_s(),
            flags=("clock_skew",) if stamp_us and not believed else (),
            ts_venue_us=stamp_us or None,
        )
        category = self._tracked.category(shown.market_id)
        if not self._shard.owns(shown.market_id, category):
            return "other_shard"
        verdict = self._tracked.admit(shown, moment)
        if verdict.left_out:
            return verdict.left_out
        tick = tick_of(self._shard.venue, shown, moment, verdict.ts_event_us, after_gap=verdict.after_gap)
        self._out.tick(tick, category)
        self.ticks += 1
        return ""

    # ── what polls show ──────────────────────────────────────────────────────────────────────────────────────────────

    def witnessed(self, shown: Shown, moment: Moment) -> Shown:
        """A poll shows a market. What of it is worth admitting: where it agrees, its volume under the stream's quote,
        and its last trade, unless the stream has told of one.

        Only hot polls, which read the live book, bear witness: listings lag behind by their own caches.
        """
        token = self._speech.token_of(shown.token_id)
        if token not in self.continuity.tokens:
            self._last_told.discard(token)
            return shown
        known = self._tracked.get(shown.market_id)
        last = known.shown if known is not None else None
        if known is None or last is None or shown.market_status != last.market_status:
            return shown
        agrees = same_prices(shown, last, but_last=True)
        if agrees:
            knows_more = token not in self._last_told and (moment.source == "hot" or known.leader != "stream")
            shown = replace(shown, quote=last_traded(last.quote, shown.quote) if knows_more else last.quote)
        if moment.source == "hot" and (agrees or moment.as_of_us >= known.as_of_us):
            self._witness(token, "poll", agrees=agrees)
        return shown

    def saw(self, top: Top) -> None:
        """A venue's second channel tells a token's top. It is published by nobody, and weighed a little later: either
        channel may be the quicker one."""
        _, since_s = self._sightings.get(top.token, (top, self._clock.monotonic_s()))
        self._sightings[top.token] = (top, since_s)

    def weigh(self) -> None:
        """Holds what the second channel told against the streams, where they have had a second to say the same."""
        now_s = self._clock.monotonic_s()
        due = [token for token, (_, since_s) in self._sightings.items() if now_s - since_s >= _WEIGHED_AFTER_S]
        for token in due:
            top, since_s = self._sightings.pop(token)
            followed, known = self.continuity.tokens.get(token), self._tracked.known_of(self._speech.token_id(token))
            last = None if known is None else known.shown
            if followed is None or known is None or last is None or last.market_status not in OPEN_STATUSES:
                continue
            agrees = (top.bid_ppm, top.ask_ppm) == (last.quote.bid_ppm, last.quote.ask_ppm)
            # A stream that has spoken since is not frozen; what was true before its last word says nothing against it.
            if agrees or (followed.heard_s < since_s and top.ts_us >= known.as_of_us):
                self._witness(token, "push", agrees=agrees)

    def _witness(self, token: str, by: str, *, agrees: bool) -> None:
        WITNESS.labels(self._shard.venue, by, "agreed" if agrees else "contradicted").inc()
        self.continuity.witnessed(token, self._clock.monotonic_s(), agrees=agrees)

    # ── gaps ─────────────────────────────────────────────────────────────────────────────────────────────────────────

    def gap_opened(self, connection: Connection, gap: Gap, reason: str) -> None:
        """Polls are believed again for these markets, and the next tick of each says that it comes after a gap."""
        GAPS.labels(self._shard.venue).inc()
        self._journal.note_of("unlease", gap.tokens)
        for token in gap.tokens.keys() - self._said.keys():
            last = self._tracked.last_shown(self._speech.token_id(token))
            if last is not None:
                self._said[token] = last
        markets = self.unlease(gap.tokens)
        detail = f"{reason}: {len(markets)} markets not streamed"
        self._tell(f"stream-{connection.number}", "gap_opened", detail, gap.since_us, markets)

    def gap_closed(self, connection: Connection, gap: Gap) -> None:
        """They are shown again."""
        for token in gap.tokens:
            self._said.pop(token, None)
        markets = self._markets(gap.tokens)
        detail = f"{len(markets)} markets streamed again"
        self._tell(f"stream-{connection.number}", "gap_closed", detail, gap.since_us, markets)

    def unserved(self, gap: Gap, reason: str) -> None:
        """Polls alone show these markets, as they do all that are not streamed: so their ticks come after no gap."""
        markets = self._markets(gap.tokens)
        self._tell(ALL_STREAMS, "gap_opened", f"{reason}: {len(markets)} markets not streamed", gap.since_us, markets)

    def served(self, gap: Gap) -> None:
        """None is left."""
        self._tell(ALL_STREAMS, "gap_closed", "all that are wanted are streamed", gap.since_us, ())

    def changed(self, connection: Connection, reason: str) -> None:
        """A connection came, went or was refused."""
        name = f"stream-{connection.number}"
        if not self._has_begun:
            self._has_begun = True
            self._tell(ALL_STREAMS, "gap_closed", _BEGUN, None, ())
        if connection.reader is None:
            self._tell(name, "degraded", reason, None, ())
            return
        if connection.number not in self._begun:
            self._begun.add(connection.number)
            self._tell(name, "gap_closed", _BEGUN, None, ())
        self._tell(name, "connected", reason, None, ())

    # ── in between ───────────────────────────────────────────────────────────────────────────────────────────────────

    def renew_leases(self, tokens: Sequence[str]) -> None:
        """Polls leave these tokens' markets to the streams that show them, for the next while."""
        until_us = self._venue_clock.now_us(self._clock.now_us()) + LEASE_S * US_PER_S
        self._journal.note_of("lease", tokens, until_us=until_us)
        self.lease(tokens, until_us)

    def lease(self, tokens: Iterable[str], until_us: int) -> None:
        """So long by the venue's clock."""
        self._tracked.lease(self._markets(tokens), until_us)

    def unlease(self, tokens: Iterable[str]) -> list[str]:
        """Their streams are gone. Returns their markets."""
        self._last_told.difference_update(tokens)
        markets = self._markets(tokens)
        self._tracked.unlease(markets)
        return markets

    def remembered(self) -> list[str]:
        """The tokens of which anything is kept."""
        merged = () if self._merge is None else self._merge.markets()
        return list({*self.continuity.tokens, *self._newest_us, *merged})

    def forget_ended(self, tokens: Sequence[str]) -> None:
        """Lets go of those whose market nobody follows any more, and that no connection has told of for a while."""
        before_s = self._clock.monotonic_s() - _KEPT_S
        for token in tokens:
            if self._tracked.known_of(self._speech.token_id(token)) is not None:
                continue
            followed = self.continuity.tokens.get(token)
            # Where tokens are subscribed one by one, the pool takes leave of them itself.
            if followed is not None and (self._merge is None or followed.heard_s > before_s):
                continue
            self.continuity.unsubscribed((token,))
            for kept in (self._newest_us, self._said, self._sightings):
                kept.pop(token, None)
            self._last_told.discard(token)
            if self._merge is not None:
                self._merge.forget(token)

    def flush(self, *, ending: bool = False) -> None:
        """Sends raw frames that have waited long enough, at the end all of them. Hands on what was counted: a metric
        costs more than a frame's reading."""
        now_us = self._clock.now_us()
        for connection_id, batch in self._batches.values():
            # A clock that was set back must not keep them.
            if ending or not 0 <= now_us - batch.first_us < _RAW_WAITS_US:
                self._send(connection_id, batch)
        FRAMES.labels(self._shard.venue).inc(self._counted)
        for reason, count in self._left_out.items():
            LEFT_OUT.labels(self._shard.venue, reason).inc(count)
        self._counted = 0
        self._left_out.clear()

    def _keep(self, source: Source, received_us: int, body: bytes) -> None:
        kept = self._batches.get(source.number)
        if kept is None or kept[0] != source.connection_id:
            if kept is not None:
                self._send(*kept)
                self._batch_numbers.pop(kept[0], None)
            kept = self._batches[source.number] = (source.connection_id, Batch())
        kept[1].add(received_us, body, self._journal.step())
        if kept[1].full:
            self._send(*kept)

    def _send(self, connection_id: str, batch: Batch) -> None:
        if not len(batch):
            return
        number = self._batch_numbers.get(connection_id, 0)
        self._batch_numbers[connection_id] = number + 1
        self._out.received(
            Received(
                kind="ws",
                errand=Errand("stream", self._promise_s()),
                channel="stream",
                connection_id=connection_id,
                sequence=number,
                ts_received_us=batch.last_us,
                content_type=CONTENT_TYPE,
                body=batch.take(),
            )
        )

    def _markets(self, tokens: Iterable[str]) -> list[str]:
        found = (self._tracked.last_shown(self._speech.token_id(token)) for token in tokens)
        return [shown.market_id for shown in found if shown is not None]
