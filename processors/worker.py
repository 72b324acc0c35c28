"""What a processor does with a batch of messages, and the books it keeps of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from confluent_kafka import Message

from kernel.clock import Clock
from kernel.dead_letters import BadInputLimit, DeadLetters, Refused
from kernel.errors import BadMessageError
from kernel.metrics import BAD_INPUT, LAG, MESSAGES, NEWEST_EVENT, PUBLISHED
from kernel.process import Process
from processors.memory import Memory, Open, Publish
from processors.step import Result, Stage, Work, guarded
from schemas.units import US_PER_MS, US_PER_S

_LAGS_OF_A_BATCH = 16

PartitionStates = tuple[Memory, Open]
"""The memory of a partition, and what opens the states that are stored in it."""


class Worker:
    """Runs a stage's step on each message and keeps the books: memory, metrics, dead letters."""

    def __init__(
        self, stage: Stage, work: Work, dead_letters: DeadLetters, limit: BadInputLimit, process: Process, clock: Clock
    ) -> None:
        self.stage = stage
        self.on_time = work.on_time
        self._step = work.step
        self._process = process
        self._dead_letters = dead_letters
        self._clock = clock
        self._limit = limit
        self._messages = MESSAGES.labels(stage.name, stage.input.name)
        self._published = {topic.name: PUBLISHED.labels(stage.name, topic.name) for topic in stage.outputs}
        self._late = BAD_INPUT.labels(stage.name, "late")
        self._venues: dict[str, _VenueBooks] = {}

    def take(self, messages: Sequence[Message], states: Callable[[int], PartitionStates], publish: Publish) -> None:
        """Runs the step on each message, publishes what it makes and remembers what it says; a bad message is filed.

        Args:
            messages: without errors, in their order.
            states: of a partition, what is remembered of its markets, and how to open what is stored of one.
            publish: takes what a message made.

        Raises:
            TooMuchBadInputError: the share of bad messages passed the limit.
            MoversError: the environment failed; the messages may well be fine.
        """
        batch = _Batch(len(messages))
        counted = 0
        for message in messages:
            key, headers = message.key() or b"", message.headers() or []
            published_ms = message.timestamp()[1]
            memory, open_state = states(message.partition())
            try:
                before = memory.recall(key, open_state, published_ms)
                result = guarded(self._step, key, message.value(), before, published_ms * US_PER_MS)
            except BadMessageError as error:
                self._limit.saw(batch.results - counted, bad=0)
                counted = batch.results
                self._refuse(message, error)
                continue
            publish(key, result.outputs, headers, published_ms)
            memory.keep(key, result, headers, published_ms)
            batch.saw(result)
        self._limit.saw(batch.results - counted, bad=0)
        self._messages.inc(len(messages))
        self._note(batch)
        self._process.beat()

    def _refuse(self, message: Message, error: BadMessageError) -> None:
        venue = dict(message.headers() or ()).get("venue", b"").decode(errors="replace")
        self._dead_letters.put([Refused(message.topic(), message.partition(), message.offset(), venue, error)])
        self._limit.saw(1, bad=1)

    def _note(self, batch: _Batch) -> None:
        """The books of a batch. Of its lags, some are enough: its messages were done with at one time."""
        for topic, count in batch.published.items():
            self._published[topic].inc(count)
        self._late.inc(batch.late)
        now_us = self._clock.now_us()
        for venue, received_us in batch.received:
            self._books(venue).observe((now_us - received_us) / US_PER_S)
        for venue, newest in batch.newest_us.items():
            books = self._books(venue)
            if newest > books.newest_us:
                books.newest_us = newest
                books.newest.set(newest / US_PER_S)

    def _books(self, venue: str) -> _VenueBooks:
        books = self._venues.get(venue)
        if books is None:
            books = self._venues[venue] = _VenueBooks(self.stage.name, venue)
        return books


class _Batch:
    """What is to be told of a batch: counted as it goes, because results that are let go at once leave room, still in
    the processor's caches, to the next one's.

    Args:
        messages: how many there are.
    """

    __slots__ = ("_every", "late", "newest_us", "published", "received", "results")

    def __init__(self, messages: int) -> None:
        self._every = messages // _LAGS_OF_A_BATCH + 1
        self.results = 0
        self.late = 0
        self.published: dict[str, int] = {}
        """Messages made, by topic."""
        self.received: list[tuple[str, int]] = []
        """Venue and time of receipt, of some."""
        self.newest_us: dict[str, int] = {}
        """By venue."""

    def saw(self, result: Result) -> None:
        """Counts what became of one message."""
        event = result.event
        for topic, _ in result.outputs:
            self.published[topic] = self.published.get(topic, 0) + 1
        if result.late:
            self.late += 1
        if event.ts_event_us > self.newest_us.get(event.venue, 0):
            self.newest_us[event.venue] = event.ts_event_us
        if self.results % self._every == 0:
            self.received.append((event.venue, event.ts_received_us))
        self.results += 1


class _VenueBooks:
    """A venue's metrics, looked up once."""

    __slots__ = ("newest", "newest_us", "observe")

    def __init__(self, stage: str, venue: str) -> None:
        self.observe = LAG.labels(stage, venue).observe
        self.newest = NEWEST_EVENT.labels(stage, venue)
        self.newest_us = 0
