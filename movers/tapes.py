"""`movers record` and `movers replay`: a venue's words onto a tape, and a tape's events made again."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory

import orjson

from kernel.clock import Clock, SystemClock
from kernel.errors import BadMessageError, KafkaAwayError, UserError
from kernel.kafka.topics import require_topics
from kernel.schema_registry import SchemaRegistry
from kernel.settings import Settings
from producers.intake import Out
from producers.outbox import Outbox
from producers.recording import is_noted, read_range, read_tape, write_tape
from producers.registry import VENUES
from producers.replaying import Replay
from producers.shards import Shard
from producers.spill import Spill
from schemas import topics
from schemas.events import Market, RawMessage, Tick
from schemas.units import US_PER_S

_ANSWER_S = 10.0
_FLUSH_S = 30.0


def record(settings: Settings, venue: str, tape: Path, since_s: float, for_s: float) -> str:
    """Writes what a venue has said since so long ago, and says for so long from now; returns a sentence about it.

    Raises:
        UserError: no such venue, nothing to record, or the tape cannot be written.
        TransientError: Kafka or the registry does not answer.
    """
    if venue not in VENUES:
        raise UserError(f"unknown venue {venue}; known: {', '.join(VENUES)}")
    if since_s + for_s <= 0:
        raise UserError("nothing to record: give --since, --for, or both")
    require_topics(settings.kafka, [topics.BY_NAME[topics.raw_topic(venue)]], _ANSWER_S)
    since_us = SystemClock().now_us() - int(since_s * US_PER_S)
    time.sleep(for_s)
    registry = SchemaRegistry.of(settings.kafka)
    try:
        messages = read_range(settings.kafka, registry, venue, since_us, SystemClock().now_us())
        return f"{write_tape(tape, venue, messages)} messages of {venue} on {tape}"
    finally:
        registry.close()


def replay(settings: Settings, tape: Path, speed: float, *, publish: bool, write: Callable[[str], object]) -> str:
    """Plays a tape; its events go to Kafka or, as JSON lines, to `write`. Returns a sentence about it.

    Raises:
        UserError: the tape cannot be read.
        TransientError: the registry does not answer, or Kafka has not taken all: the tape may be played again.
    """
    venue, messages = read_tape(tape)
    if venue not in VENUES:
        raise UserError(f"{tape} is of {venue}, which is no venue here; known: {', '.join(VENUES)}")
    noted = is_noted(read_tape(tape)[1])
    if not publish:
        return _play(settings, venue, messages, speed, _Lines(write), noted=noted)
    registry = SchemaRegistry.of(settings.kafka)
    try:
        with TemporaryDirectory(prefix="movers-replay-") as folder:
            # No room: what Kafka does not take need not be kept, since it is on the tape.
            outbox = Outbox(Shard(venue), settings.kafka, registry, Spill(Path(folder), 0), SystemClock())
            try:
                outbox.warm_up()
                told = _play(settings, venue, _as_long_as_taken(messages, outbox), speed, outbox, noted=noted)
            finally:
                outbox.close(_FLUSH_S)
            _require_taken(outbox)
            return told
    finally:
        registry.close()


def _as_long_as_taken(messages: Iterator[RawMessage], outbox: Outbox) -> Iterator[RawMessage]:
    for raw in messages:
        _require_taken(outbox)
        yield raw


def _require_taken(outbox: Outbox) -> None:
    if outbox.kafka_away:
        raise KafkaAwayError("Kafka has not taken all that the tape gave: play it again when it does")


def _play(
    settings: Settings, venue: str, messages: Iterator[RawMessage], speed: float, out: Out, *, noted: bool
) -> str:
    clock: Clock = SystemClock()
    replaying: Replay | None = None
    began_s, first_us, played = clock.monotonic_s(), 0, 0
    for raw in messages:
        if replaying is None:
            first_us = raw.ts_received_us
            skew_s = settings.collector.collector_max_skew_s
            replaying = Replay(VENUES[venue], venue, out, max_skew_s=skew_s, start_us=first_us, noted=noted)
        if speed > 0:
            due_s = (raw.ts_received_us - first_us) / US_PER_S / speed
            time.sleep(max(0.0, due_s - (clock.monotonic_s() - began_s)))
        replaying.play(raw)
        played += 1
    if replaying is None:
        return "the tape is empty"
    replaying.end()
    tally = replaying.tally
    missed = f", {replaying.missed} steps not on the tape" if replaying.missed else ""
    return (
        f"{played} messages with {replaying.frames} frames played: {tally.published} ticks, {tally.bad} bad rows, "
        f"{replaying.unread} without a page{missed}"
    )


class _Lines:
    """Events as JSON lines."""

    def __init__(self, write: Callable[[str], object]) -> None:
        self._write = write

    def market(self, market: Market) -> None:
        """A market."""
        self._line("markets", asdict(market))

    def tick(self, tick: Tick, category: str) -> None:
        """A tick."""
        self._line("ticks", asdict(tick))

    def refused(self, error: BadMessageError, channel: str) -> None:
        """What cannot be used."""
        self._line("dead.letters", {"reason": error.reason, "detail": error.detail, "channel": channel})

    def _line(self, topic: str, event: dict[str, object]) -> None:
        self._write(orjson.dumps({"topic": topic, "event": event}).decode())
