"""Makes events of raw messages again: pages, histories and frames through the code that a collector has.

A collector's notes (`journal.py`) say in which order it took things in, and what it did beside them. Each life of each
collector on a tape is played by itself, step by step. A note has its `step`, its name in `note`, and:

| note | what | more |
|---|---|---|
| `began` | a collector begins, knowing nothing | `shard`: category, number, of; `skew_s`; `at_us`, our clock |
| `remember` | it takes up what was told before it | how many `markets`; `watched_until_us`, `safe_until_us` |
| `promise` | how soon the sweeps come round | `s` |
| `take`, `read` | an answer is taken in; its metadata is, its states wait | `of`: its connection and number; `pace` |
| `admit` | states of a page that was read | `of`; `at`: their places in it; `past`: answers with their histories |
| `opened` | a connection is there | `line`, its place; its name, `connection` |
| `follow`, `leave` | tokens are subscribed, no longer subscribed | `line`; tokens |
| `lease`, `unlease` | streams show these, do not show them any more | `until_us`; tokens |
| `gap` | nothing was seen up to now, nor of what is met until it is over, if that is told | `at_us`; `until_told` |
| `gap_over`, `forget` | a whole sweep ends a gap; a market is forgotten | `market` |

`pace` is what a simulator said of its time. Tokens are named in `new` when they first come up, counted from `first` on,
and meant by `runs` of these numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any, Final

import orjson

from kernel.clock import ManualClock
from kernel.errors import BadMessageError
from producers.base import Errand, Page, Received, Speech, Venue
from producers.batch import Frame, frames
from producers.client import read_json
from producers.histories import CHANNEL, named_as_asked, read_past
from producers.intake import Intake, Out, Past, Read, State, Tally
from producers.shards import Shard
from producers.streamed import Streamed
from producers.streams import Source, read_frame
from producers.tracked import Told, Tracked
from producers.venue_clock import VenueClock
from schemas.events import Market, RawMessage, Tick
from schemas.units import US_PER_S

PATIENCE_US: Final = 10 * US_PER_S
"""A step that has not come by then, in the time of the tape, is not on it: what follows is played without it."""

_KEPT_US: Final = 300 * US_PER_S
"""An answer that no note has named by then is none that was taken in."""

Ref = tuple[str, int]
"""Connection and number of an answer."""

_BROKEN = (ValueError, KeyError, IndexError, TypeError, AttributeError)


def received_of(raw: RawMessage, pace: str = "") -> Received:
    """A raw message as it was when it came. `pace`: as a simulator said it; it is in the notes only."""
    date_us = None if raw.ts_event_us is None else raw.ts_event_us + (raw.age_s or 0) * US_PER_S
    return Received(
        kind=raw.kind,
        errand=Errand(raw.errand or "sweep", raw.promise_s),
        channel=raw.channel,
        connection_id=raw.connection_id,
        sequence=raw.sequence,
        body=raw.body,
        ts_received_us=raw.ts_received_us,
        ts_asked_us=raw.ts_asked_us,
        status=raw.http_status,
        content_type=raw.content_type,
        date_us=date_us,
        age_s=raw.age_s,
        pace=pace,
    )


class Replay:
    """Plays raw messages in their order of arrival; call `end` after the last.

    Told the messages of a collector from its begin on, it makes the same markets and ticks, bit for bit. What begins
    in the middle of a life knows at first nothing of what came before: a market counts from its first row on, a book
    from the first price that the venue states.

    Args:
        noted: whether there are notes among the messages. Without, answers are taken in as they came, and frames not.
    """

    def __init__(self, venue: Venue, name: str, out: Out, *, max_skew_s: float, start_us: int, noted: bool) -> None:
        self.tally = Tally()
        self.frames = 0
        self.unread = 0
        """Messages that hold no page: errors, and what nobody took in."""
        self.missed = 0
        """Steps that are not there."""
        self._venue, self._out = venue, _Remembering(out)
        self._name, self._skew_s, self._start_us = name, max_skew_s, start_us
        self._lives: dict[str, _Steps] = {}
        self._answers: dict[Ref, RawMessage] = {}
        self._unnoted = None if noted else self.join()

    def play(self, raw: RawMessage) -> None:
        """One message."""
        if self._unnoted is not None:
            if raw.kind == "rest" and (page := self._unnoted.page_of(raw)) is not None:
                self._unnoted.intake.take(page, self.tally)
            else:
                self.unread += 1
        elif raw.kind == "rest":
            self._answers[raw.connection_id, raw.sequence] = raw
            self._let_go(raw.ts_received_us - _KEPT_US)
        else:
            self._queue(raw)
        for steps in self._lives.values():
            steps.go_on(raw.ts_received_us)

    def end(self) -> None:
        """No more messages will come."""
        for steps in self._lives.values():
            steps.go_on(2**62, over=True)
        self._let_go(2**62)

    def answer(self, ref: Ref) -> RawMessage | None:
        """An answer that a note names; None while it is not there."""
        return self._answers.get(ref)

    def used(self, ref: Ref) -> None:
        """An answer was taken in."""
        self._answers.pop(ref, None)

    def told(self) -> Mapping[str, Told]:
        """The markets told so far."""
        return self._out.told

    def begin(self, note: dict[str, Any]) -> _Life:
        """A collector begins."""
        shard = Shard(self._name, *note["shard"])
        return _Life(self, self._venue, shard, self._out, note["skew_s"], note["at_us"])

    def join(self) -> _Life:
        """A collector whose begin is not there."""
        return _Life(self, self._venue, Shard(self._name), self._out, self._skew_s, self._start_us)

    def _queue(self, raw: RawMessage) -> None:
        life = raw.connection_id.partition(".")[0]
        steps = self._lives.get(life)
        if steps is None:
            steps = self._lives[life] = _Steps(self)
        try:
            if raw.kind == "notes":
                for line in raw.body.splitlines():
                    note = orjson.loads(line)
                    steps.queue(int(note["step"]), note)
            else:
                for frame in frames(raw.body):
                    if frame.step is not None:
                        steps.queue(frame.step, (raw.connection_id, frame))
        except _BROKEN:
            self.unread += 1

    def _let_go(self, before_us: int) -> None:
        """Answers come in order, so the oldest are first."""
        for ref, raw in list(self._answers.items()):
            if raw.ts_received_us > before_us:
                return
            del self._answers[ref]
            self.unread += raw.errand != "history"


class _Steps:
    """The steps of one life, put in order: a step is played when the one before it was."""

    def __init__(self, replay: Replay) -> None:
        self._replay = replay
        self._waiting: dict[int, Any] = {}
        self._next = 0
        self._stuck_us: int | None = None
        self._life: _Life | None = None

    def queue(self, step: int, what: Any) -> None:
        """A step is on the tape."""
        if step >= self._next:
            self._waiting[step] = what

    def go_on(self, now_us: int, *, over: bool = False) -> None:
        """Plays what can be played when the tape shows this time, or is over."""
        while self._waiting:
            what = self._waiting.get(self._next)
            if what is None or not self._can_play(what):
                self._stuck_us = now_us if self._stuck_us is None else self._stuck_us
                if now_us - self._stuck_us < PATIENCE_US and not over:
                    return
                first = min(self._waiting)
                self._replay.missed += 1 if what is not None else first - self._next
                self._waiting.pop(self._next, None)
                self._next = self._next + 1 if what is not None else first
            else:
                self._stuck_us = None
                del self._waiting[self._next]
                self._next += 1
                try:
                    self._play(what)
                except _BROKEN:
                    self._replay.missed += 1
        self._stuck_us = None

    def _can_play(self, what: Any) -> bool:
        needs = what.get("of") if isinstance(what, dict) and what.get("note") in ("take", "read") else None
        return needs is None or self._replay.answer(tuple(needs)) is not None

    def _play(self, what: Any) -> None:
        if isinstance(what, dict) and what["note"] == "began":
            self._life = self._replay.begin(what)
            return
        if self._life is None:
            self._life = self._replay.join()
        if isinstance(what, dict):
            self._life.do(what)
        else:
            self._life.frame(*what)


class _Life:
    """A collector, played."""

    def __init__(
        self, replay: Replay, venue: Venue, shard: Shard, out: _Remembering, skew_s: float, at_us: int
    ) -> None:
        self._replay, self._shard, self._out, self._venue = replay, shard, out, venue
        self._reader = venue.reader()
        self._tracked, self._promise_s = Tracked(), 0
        clock = VenueClock(skew_s, at_us)
        self.intake = Intake(shard, self._reader, self._tracked, clock, out)
        self._reads: dict[Ref, tuple[Read, set[int]]] = {}
        self._names: dict[int, str] = {}
        self._sources: dict[str, Source] = {}
        self._followed: dict[str, set[str]] = {}
        self._speech = None if venue.speech is None else venue.speech()
        self._streamed: Streamed | None = None
        if self._speech is not None:
            self._streamed = Streamed(
                shard, self._speech, self._tracked, clock, out, ManualClock(), lambda: self._promise_s,
                lambda *_: None, lambda _: None,
            )  # fmt: skip
            self.intake.beside_streams = self._streamed.witnessed
        self._do: dict[str, Callable[[dict[str, Any]], None]] = {
            "remember": self._remember,
            "promise": self._promises,
            "take": self._take,
            "read": self._read,
            "admit": self._admit,
            "opened": self._opened,
            "follow": self._follow,
            "leave": self._leave,
            "lease": self._lease,
            "unlease": self._unlease,
            "gap": lambda note: self._tracked.gap_began(note["at_us"], until_told=note.get("until_told", False)),
            "gap_over": lambda _: self._tracked.gap_over(),
            "forget": lambda note: self._tracked.forget(note["market"]),
        }

    def do(self, note: dict[str, Any]) -> None:
        """What a note says."""
        self._do[note["note"]](note)

    # ── answers ──────────────────────────────────────────────────────────────────────────────────────────────────────

    def page_of(self, raw: RawMessage, pace: str = "") -> Page | None:
        """The page in an answer; None when it holds none."""
        received = received_of(raw, pace)
        if received.status is None or not 200 <= received.status < 300:
            return None
        try:
            return self._reader.page(received, read_json(received.body))
        except orjson.JSONDecodeError:
            return None

    def _taken(self, note: dict[str, Any]) -> tuple[Ref, Page | None]:
        ref = (note["of"][0], note["of"][1])
        raw = self._replay.answer(ref)
        page = None if raw is None else self.page_of(raw, note["pace"])
        self._replay.used(ref)
        self._replay.unread += page is None
        return ref, page

    def _take(self, note: dict[str, Any]) -> None:
        _, page = self._taken(note)
        if page is not None:
            self.intake.take(page, self._replay.tally)

    def _read(self, note: dict[str, Any]) -> None:
        ref, page = self._taken(note)
        if page is not None:
            read = self.intake.read(page, self._replay.tally)
            self._reads[ref] = read, set(range(len(read.states)))

    def _admit(self, note: dict[str, Any]) -> None:
        ref = (note["of"][0], note["of"][1])
        if ref not in self._reads:
            return
        read, left = self._reads[ref]
        states = [read.states[place] for place in note["at"]]
        left.difference_update(note["at"])
        if not left:
            del self._reads[ref]
        self.intake.admit(read, states, self._replay.tally, self._past(read, states, note["past"]))

    def _past(self, read: Read, states: list[State], answers: list[Any]) -> Past:
        """The histories that were told, out of the answers again."""
        if self._venue.past is None or not answers:
            return Past()
        reader, found = self._venue.past(), []
        for connection_id, sequence in answers:
            raw = self._replay.answer((connection_id, sequence))
            self._replay.used((connection_id, sequence))
            points = None if raw is None else reader.points(read_json(raw.body))
            if points is None:
                self._replay.missed += 1
            else:
                found.append(points)
        named, now_us = named_as_asked(self._reader, states), read.moment.as_of_us
        return Past(read_past(reader, named, found, now_us, lambda error: self._out.refused(error, CHANNEL)))

    # ── frames ───────────────────────────────────────────────────────────────────────────────────────────────────────

    def frame(self, connection_id: str, frame: Frame) -> None:
        """A frame of a connection."""
        if self._speech is None or self._streamed is None:
            return
        source = self._sources.get(connection_id)
        if source is None or connection_id in self._followed:
            source = self._join(self._speech, connection_id)
        source.data_us, source.data_s = frame.received_us, frame.received_us / US_PER_S
        reader = source.reader or self._speech.reader()
        self._replay.frames += 1
        before, mirrored = self._streamed.ticks, self._speech.mirrored
        read_frame(source, reader, frame.body, self._streamed.continuity, self._streamed, mirrored=mirrored)
        self._replay.tally.published += self._streamed.ticks - before

    def _opened(self, note: dict[str, Any]) -> None:
        line = int(note["line"])
        self._sources = {name: source for name, source in self._sources.items() if source.number != line}
        if self._speech is not None:
            self._sources[note["connection"]] = Source(line, self._speech.reader(), note["connection"])

    def _join(self, speech: Speech, connection_id: str) -> Source:
        """A connection that was opened before the tape begins: all markets that are known may be on it."""
        source = self._sources.get(connection_id)
        if source is None:
            number = -1 - len(self._followed)
            source = self._sources[connection_id] = Source(number, speech.reader(), connection_id)
            self._followed[connection_id] = set()
        followed = self._followed[connection_id]
        if len(followed) < self._tracked.tokens:
            new = {speech.token_of(token_id) for token_id in self._tracked.token_ids()} - followed
            followed |= new
            self._expect(source, new)
        return source

    def _follow(self, note: dict[str, Any]) -> None:
        tokens = self._tokens(note)
        for name, source in self._sources.items():
            if source.number == note["line"]:
                self._expect(source, tokens)
                if len(tokens) < sum(count for _, count in note["runs"]):  # named before the tape begins
                    self._followed.setdefault(name, set())

    def _expect(self, source: Source, tokens: Collection[str]) -> None:
        if source.reader is not None:
            source.reader.follow(tokens)
        if self._streamed is not None and self._speech is not None and not self._speech.mirrored:
            self._streamed.continuity.subscribed(source.number, tokens, source.data_s)

    def _leave(self, note: dict[str, Any]) -> None:
        tokens = self._tokens(note)
        for source in self._sources.values():
            if source.reader is not None:
                source.reader.leave(tokens)
        if self._streamed is not None and self._speech is not None and not self._speech.mirrored:
            self._streamed.continuity.unsubscribed(tokens)

    def _lease(self, note: dict[str, Any]) -> None:
        tokens = self._tokens(note)
        if self._streamed is not None:
            self._streamed.lease(tokens, note["until_us"])

    def _unlease(self, note: dict[str, Any]) -> None:
        tokens = self._tokens(note)
        if self._streamed is not None:
            self._streamed.unlease(tokens)

    def _tokens(self, note: dict[str, Any]) -> list[str]:
        self._names.update(enumerate(note["new"], start=note["first"]))
        numbers = (number for first, count in note["runs"] for number in range(first, first + count))
        return [self._names[number] for number in numbers if number in self._names]

    # ── the rest ─────────────────────────────────────────────────────────────────────────────────────────────────────

    def _remember(self, note: dict[str, Any]) -> None:
        """What was told before is what the topic `markets` would hold: on the tape, if that began early enough."""
        mine = [told for told in self._replay.told().values() if self._shard.owns(told.market_id, told.category)]
        if note["markets"]:
            for told in mine:
                self._tracked.restore(told, note.get("safe_until_us"))
            self._replay.missed += max(0, note["markets"] - len(mine))
        self._tracked.watched_until_us = note["watched_until_us"]

    def _promises(self, note: dict[str, Any]) -> None:
        self._promise_s = note["s"]


class _Remembering:
    """Hands events on, and remembers the markets."""

    def __init__(self, out: Out) -> None:
        self._out = out
        self.told: dict[str, Told] = {}

    def market(self, market: Market) -> None:
        """A market."""
        self.told[market.market_id] = Told.of(market)
        self._out.market(market)

    def tick(self, tick: Tick, category: str) -> None:
        """A tick."""
        self._out.tick(tick, category)

    def refused(self, error: BadMessageError, channel: str) -> None:
        """What cannot be used."""
        self._out.refused(error, channel)

    def received(self, received: Received) -> None:
        """Bytes: they are on the tape already."""
