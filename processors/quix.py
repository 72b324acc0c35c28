"""How every processor of ours runs on Quix Streams: one application, one step, one input, any number of outputs.

Facts (quixstreams 3.28.1): `Application.topic()` talks to the broker; `run()` installs signal handlers, so it belongs
to the main thread; an exception that the error callback swallows keeps earlier state writes and commits the offset,
so the step comes first and the state is written last; a message that its deserialiser refuses stores no offset, so
values travel as bytes and are decoded in the step.
"""

from __future__ import annotations

import hashlib
import logging
import os
import socket
from collections.abc import Iterable
from contextlib import ExitStack
from typing import Any

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient
from quixstreams import Application
from quixstreams.models import Row
from quixstreams.models.serializers import SerializationContext, Serializer
from quixstreams.state import State
from quixstreams.state.rocksdb import RocksDBOptions

from kernel.clock import Clock, SystemClock
from kernel.dead_letters import BadInputLimit, DeadLetters, Refused
from kernel.errors import BadMessageError, KafkaAwayError, UserError
from kernel.kafka import PRODUCER_CONFIG, LinkWatch
from kernel.logs import get_logger
from kernel.metrics import BAD_INPUT, LAG, MESSAGES, NEWEST_EVENT
from kernel.process import Process, living
from kernel.schema_registry import SchemaRegistry
from kernel.settings import Settings
from processors.step import Output, Processor, Result, Stage, Step, guarded
from schemas.topics import Topic
from schemas.units import US_PER_S

log = get_logger(__name__)

COMMIT_INTERVAL_S = 1.0
_POLL_S = 0.2
_BLOCK_CACHE_BYTES = 64 << 20
_NEWEST_STEP_US = US_PER_S // 10

Headers = Iterable[tuple[str, bytes]] | None


class Worker:
    """Runs a stage's step on each message and keeps the books: state, metrics, dead letters."""

    def __init__(
        self, stage: Stage, step: Step, dead_letters: DeadLetters, limit: BadInputLimit, process: Process, clock: Clock
    ) -> None:
        self._process = process
        self._stage = stage
        self._step = step
        self._dead_letters = dead_letters
        self._clock = clock
        self._limit = limit
        self._messages = MESSAGES.labels(stage.name, stage.input.name)
        self._late = BAD_INPUT.labels(stage.name, "late")
        self._venues: dict[str, _VenueBooks] = {}

    def process(self, value: bytes, key: bytes, _timestamp: int, _headers: Headers, state: State) -> tuple[Output, ...]:
        """The function that Quix calls: reads the market's state, runs the step, writes the state last."""
        names = self._stage.state_keys
        before = tuple([state.get_bytes(name) for name in names])
        result = guarded(self._step, key, value, before)
        for name, old, new in zip(names, before, result.remember, strict=True):
            if new == old:
                continue
            if new is None:
                state.delete(name)
            else:
                state.set_bytes(name, new)
        self._note(result)
        return result.outputs

    def on_error(self, error: Exception, row: Row | None, _logger: logging.Logger) -> bool:
        """Files a bad message and goes on; anything else stops the process.

        Raises:
            TooMuchBadInputError: the share of bad messages passed the limit.
        """
        if not isinstance(error, BadMessageError) or row is None:
            log.error("processing_failed", stage=self._stage.name, error=repr(error))
            return False
        venue = dict(row.headers or ()).get("venue", b"").decode(errors="replace")
        self._dead_letters.put([Refused(row.topic, row.partition, row.offset, venue, error)])
        self._limit.saw(1, bad=1)
        return True

    def on_done(self, _topic: str, _partition: int, _offset: int) -> None:
        """One message is behind us, well or badly."""
        self._messages.inc()
        self._process.beat()

    def _note(self, result: Result) -> None:
        self._limit.saw(1, bad=0)
        if result.late:
            self._late.inc()
        event = result.event
        books = self._venues.get(event.venue)
        if books is None:
            books = self._venues[event.venue] = _VenueBooks(self._stage.name, event.venue)
        books.observe((self._clock.now_us() - event.ts_received_us) / US_PER_S)
        if event.ts_event_us > books.newest_us + _NEWEST_STEP_US:
            books.newest_us = event.ts_event_us
            books.newest.set(event.ts_event_us / US_PER_S)


class _VenueBooks:
    """A venue's metrics, looked up once."""

    __slots__ = ("newest", "newest_us", "observe")

    def __init__(self, stage: str, venue: str) -> None:
        self.observe = LAG.labels(stage, venue).observe
        self.newest = NEWEST_EVENT.labels(stage, venue)
        self.newest_us = 0


class _OutputValue(Serializer):  # type: ignore[misc]  # Quix ships no types
    """The value of an `Output`."""

    def __call__(self, value: Output, ctx: SerializationContext) -> bytes:
        return value[1]


def build(stage: Stage, worker: Worker, settings: Settings, process: Process) -> Application:
    """The Quix application of a stage, wired and not yet running. Talks to the broker.

    Raises:
        UserError: a topic is missing.
        KafkaAwayError: the broker does not answer.
    """
    bootstrap = settings.kafka.kafka_bootstrap_servers
    _require_topics(bootstrap, (stage.input, *stage.outputs))
    app = Application(
        broker_address=bootstrap,
        consumer_group=stage.group,
        auto_offset_reset="earliest",
        commit_interval=COMMIT_INTERVAL_S,
        consumer_poll_timeout=_POLL_S,
        # Our topics exist by now; what Quix may create is the changelog of its state.
        auto_create_topics=True,
        auto_recover_from_source_offset_out_of_range=False,
        loglevel=None,
        state_dir=settings.process.state_dir.absolute(),
        rocksdb_options=RocksDBOptions(block_cache_size=_BLOCK_CACHE_BYTES),
        processing_guarantee="at-least-once",
        producer_extra_config={**PRODUCER_CONFIG, "client.id": stage.group},
        consumer_extra_config=_consumer_config(stage, settings, process),
        on_processing_error=worker.on_error,
        on_message_processed=worker.on_done,
    )
    source = app.topic(stage.input.name, value_deserializer="bytes", value_serializer="bytes")
    targets = {topic.name: app.topic(topic.name, value_serializer=_OutputValue()) for topic in stage.outputs}
    made = app.dataframe(source).apply(worker.process, stateful=True, expand=True, metadata=True)
    made.to_topic(lambda output, _key, _timestamp, _headers: targets[output[0]])
    return app


def run(processor: Processor, settings: Settings) -> None:
    """Runs a processor until SIGTERM or SIGINT; in the main thread, where Quix takes the two signals itself.

    Raises:
        TooMuchBadInputError: most of the input cannot be used.
        UserError: a topic or a schema is missing, or the metrics port is taken.
    """
    stage = processor.stage
    with living(f"process-{stage.name}", settings.process) as process, ExitStack() as until_end:
        registry = SchemaRegistry(settings.kafka.schema_registry_url)
        until_end.callback(registry.close)
        step = processor.start(registry, settings, process, until_end)
        letters = DeadLetters(settings.kafka.kafka_bootstrap_servers, registry, stage.name, SystemClock())
        limit = BadInputLimit(settings.process.max_bad_share)
        worker = Worker(stage, step, letters, limit, process, SystemClock())
        app = process.until(lambda: build(stage, worker, settings, process))
        process.on_stop(app.stop)
        log.info("processor_started", stage=stage.name, input=stage.input.name)
        app.run()
        log.info("processor_stopped", stage=stage.name)


def _consumer_config(stage: Stage, settings: Settings, process: Process) -> dict[str, Any]:
    watch = LinkWatch(process, stage.group, settings.kafka.kafka_bootstrap_servers)

    def polled(report: str) -> None:
        """Statistics come while the consumer is polled, be there messages or not: so the loop turns."""
        process.beat()
        watch.statistics(report)

    # A fixed member name lets a restarted process take its partitions back at once, instead of after the session
    # timeout of the one that was killed. The state folder is locked by its process anyway, so it gives the name.
    place = hashlib.blake2b(os.fsencode(settings.process.state_dir.absolute()), digest_size=4).hexdigest()
    return {
        "group.instance.id": f"{stage.group}-{socket.gethostname()}-{place}",
        "session.timeout.ms": 20_000,
        "client.id": stage.group,
        **watch.config(),
        "stats_cb": polled,
    }


def _require_topics(bootstrap: str, topics: Iterable[Topic]) -> None:
    try:
        known = AdminClient({"bootstrap.servers": bootstrap}).list_topics(timeout=30).topics
    except KafkaException as error:
        raise KafkaAwayError(f"Kafka at {bootstrap}: {error.args[0].str()}") from error
    missing = [topic.name for topic in topics if topic.name not in known]
    if missing:
        raise UserError(f"topic {missing[0]} is missing; run `movers topics create`")
