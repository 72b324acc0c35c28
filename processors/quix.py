"""How every processor of ours runs on Quix Streams: one application, one step, one input, any number of outputs.

Facts (quixstreams 3.28.1): `Application.topic()` talks to the broker; what a checkpoint does, in order: flush sinks,
produce changelogs, flush the producer, commit offsets, write RocksDB.
"""

from __future__ import annotations

import logging
from contextlib import ExitStack
from typing import Any

from confluent_kafka import KafkaException
from quixstreams.checkpointing.exceptions import CheckpointConsumerCommitError, CheckpointProducerTimeout
from quixstreams.kafka.configuration import ConnectionConfig
from quixstreams.kafka.exceptions import KafkaBrokerUnavailableError, KafkaProducerDeliveryError
from quixstreams.models.topics.exceptions import CreateTopicTimeout
from quixstreams.state.exceptions import (
    ChangelogTopicPartitionNotAssigned,
    InvalidChangelogOffset,
    InvalidStoreChangelogOffset,
)

from kernel.clock import SystemClock
from kernel.dead_letters import BadInputLimit, DeadLetters
from kernel.errors import KafkaAwayError, UserError
from kernel.kafka.connection import COMING_BACK, connection_config
from kernel.kafka.link import LinkSilence, LinkWatch
from kernel.kafka.publisher import PRODUCER_CONFIG
from kernel.kafka.topics import require_topics
from kernel.logs import get_logger
from kernel.metrics import STATE_DROPPED
from kernel.process import Process, living
from kernel.reader_watch import ReaderWatch
from kernel.schema_registry import SchemaRegistry
from kernel.settings import KafkaSettings, Settings
from processors.former_changelogs import remove_of_former_logs
from processors.former_states import remove_former
from processors.log_watch import Log, LogWatch, grow, look
from processors.quix_inside import (
    ProcessorApplication,
    ReaderStuckError,
    says_log_was_cut,
    says_no_right_to_read,
)
from processors.state_options import StateOptions
from processors.step import Processor, Stage
from processors.worker import Worker
from schemas.avro_files import schema_text

log = get_logger(__name__)
for _name in ("quixstreams.kafka.consumer", "quixstreams.kafka.producer", "quixstreams.models.topics.admin"):
    logging.getLogger(_name).addFilter(LinkSilence())

COMMIT_INTERVAL_S = 1.0
"""Between two checkpoints at most; `quix_inside.SOON_S` while no message waits."""

_POLL_S = 0.2
_SESSION_MS = 6000
_LINGER_MS = 20
"""What one tick makes goes to three topics, each with its own requests: at 5 ms the client's thread cost a third of the
work on the tick, at 25 ms (20 was not measured) half of that."""

_ASK_S = 30.0
"""So long Quix waits for an answer about topics while it is wired."""

_FETCHING = {"fetch.min.bytes": 1 << 16, "fetch.wait.max.ms": 20}
"""An answer for each few ticks cost a third of the work on them; waiting for more delays a tick by so much at most."""


def build(
    stage: Stage, worker: Worker, settings: Settings, process: Process, begun: Log, watch: ReaderWatch
) -> ProcessorApplication:
    """The Quix application of a stage over a log, wired and not yet running. Talks to the broker.

    Raises:
        UserError: a topic is missing, or Kafka does not let us in.
        KafkaAwayError: the broker does not answer.
    """
    require_topics(settings.kafka, (stage.input, *stage.outputs))
    group = group_of(stage, begun)
    remove_former(settings.process.state_dir, stage.group, group)
    remove_of_former_logs(settings.kafka, stage.group, group, stage.input.name)
    for name in grow(settings.kafka, f"changelog__{group}--", begun.partitions):
        log.warning("changelog_grown", topic=name, partitions=begun.partitions)
    app = ProcessorApplication(
        broker_address=ConnectionConfig.from_librdkafka_dict(connection_config(settings.kafka, group)),
        broker_availability_timeout=0,  # a processor waits for Kafka and says so; a new one could do no more
        consumer_group=group,
        auto_offset_reset="error",
        commit_interval=COMMIT_INTERVAL_S,
        consumer_poll_timeout=_POLL_S,
        request_timeout=_ASK_S,
        # Our topics exist by now; what Quix may create is the changelog of its state.
        auto_create_topics=True,
        auto_recover_from_source_offset_out_of_range=False,
        loglevel=None,
        state_dir=settings.process.state_dir.absolute(),
        rocksdb_options=StateOptions(),
        processing_guarantee="at-least-once",
        producer_extra_config={**COMING_BACK, **PRODUCER_CONFIG, "linger.ms": _LINGER_MS},
        consumer_extra_config=_consumer_config(group, settings, process, watch),
    )
    try:
        source = app.topic(stage.input.name, value_deserializer="bytes", value_serializer="bytes")
        app.prepare(worker, source, watch, process.stopping)
    except (KafkaException, CreateTopicTimeout) as error:
        raise KafkaAwayError(f"Kafka at {settings.kafka.kafka_bootstrap_servers}: {error}") from error
    return app


def group_of(stage: Stage, begun: Log) -> str:
    """Consumer group of a stage over one log; its state and changelog are named after it too.

    State is what a log made of it. A topic that was made anew is another log: its offsets count from 0 again, so it
    gets a group, a state and a changelog of its own.
    """
    return f"{stage.group}-{begun.identity}" if begun.identity else stage.group


def run(processor: Processor, settings: Settings) -> None:
    """Runs a processor until SIGTERM or SIGINT.

    Raises:
        TooMuchBadInputError: most of the input cannot be used.
        UserError: a topic or a schema is missing, or the metrics port is taken.
    """
    stage = processor.stage
    with living(f"process-{stage.name}", settings.process) as process, ExitStack() as until_end:
        registry = SchemaRegistry.of(settings.kafka)
        until_end.callback(registry.close)
        process.until(lambda: _require(stage, registry, settings.kafka))
        work = processor.start(registry, settings, process, until_end)
        letters = DeadLetters(settings.kafka, registry, stage.name, SystemClock())
        until_end.callback(letters.close)
        limit = BadInputLimit(settings.process.max_bad_share)
        worker = Worker(stage, work, letters, limit, process, SystemClock())
        _Life(stage, worker, settings, process).live()


def _require(stage: Stage, registry: SchemaRegistry, kafka: KafkaSettings) -> None:
    """Proves that Kafka and the registry let us in and know what is ours. Before all that would only wait for them."""
    topics = (stage.input, *stage.outputs)
    require_topics(kafka, topics)
    for topic in topics:
        registry.id_of(topic.subject, schema_text(topic.subject_file))


_KAFKA_FAILED_US = (
    CheckpointConsumerCommitError,
    CheckpointProducerTimeout,
    KafkaBrokerUnavailableError,
    KafkaException,
    KafkaProducerDeliveryError,
)
"""Away for longer than a session or a delivery may take, so that the group went on without us or messages did not
arrive; or come back without what it had, so that the client's own numbering of messages is void."""

_PAUSE_S = 1.0


class _Life:
    """A stage from start to end: application after application, a new one whenever the log is not what it was."""

    def __init__(self, stage: Stage, worker: Worker, settings: Settings, process: Process) -> None:
        self._stage = stage
        self._worker = worker
        self._settings = settings
        self._process = process
        self._app: ProcessorApplication | None = None
        self._again = True
        self._was_cut = False
        process.on_stop(self._stop)

    def live(self) -> None:
        """Until the process is told to stop."""
        while self._again and not self._process.stopping.is_set():
            self._again = False
            self._live_once()
        log.info("processor_stopped", stage=self._stage.name)

    def _live_once(self) -> None:
        begun = self._process.until(lambda: look(self._kafka, self._stage.input.name))
        watch = ReaderWatch(self._kafka, self._stage.name)
        try:
            self._live_with(begun, watch)
        finally:
            watch.close()

    def _live_with(self, begun: Log, watch: ReaderWatch) -> None:
        app = self._app = self._process.until(
            lambda: build(self._stage, self._worker, self._settings, self._process, begun, watch)
        )
        app.was_cut, self._was_cut = self._was_cut, False
        log.info("processor_started", stage=self._stage.name, input=begun.topic, partitions=begun.partitions)
        try:
            with LogWatch(self._kafka, begun, self._changed):
                app.run()
        except Exception as error:
            if says_no_right_to_read(error):
                raise UserError(
                    f"Kafka does not let us read {begun.topic}: give our user the right to READ it, and its group"
                ) from error
            if not self._mend(error, app, begun):
                raise
            self._again = True

    def _mend(self, error: Exception, app: ProcessorApplication, begun: Log) -> bool:
        """Whether beginning again mends it; does what must be done before that."""
        if isinstance(error, InvalidStoreChangelogOffset | InvalidChangelogOffset):
            # Kafka came back without the newest part of the changelog: what is on disk here is ahead of it. One is
            # found when state is taken up, the other at the next checkpoint of a processor that never stopped.
            log.error("state_ahead_of_changelog", stage=self._stage.name, action="rebuilt from the changelog")
            STATE_DROPPED.labels(self._stage.name, "all").inc()
            app.clear_state()
            self._was_cut = True
            return True
        if says_log_was_cut(error):
            log.error("position_not_in_log", stage=self._stage.name, error=str(error))
            self._was_cut = True
            return True
        if isinstance(error, ReaderStuckError):  # told by who found it
            return True
        if isinstance(error, _KAFKA_FAILED_US) or isinstance(error.__cause__, KafkaException):
            # Nothing since the last checkpoint counts: it is read again, and what was done is recognised by its time.
            log.warning("begun_again", stage=self._stage.name, error=repr(error))
            self._process.stopping.wait(_PAUSE_S)
            return True
        # Partitions that were added a moment ago have no changelog yet; the next application makes it.
        return isinstance(error, ChangelogTopicPartitionNotAssigned) and look(self._kafka, begun.topic) != begun

    def _changed(self, now: Log) -> None:
        log.warning("log_changed", stage=self._stage.name, topic=now.topic, partitions=now.partitions, id=now.identity)
        self._again = True
        self._stop()

    def _stop(self) -> None:
        if self._app is not None:
            self._app.stop()

    @property
    def _kafka(self) -> KafkaSettings:
        return self._settings.kafka


def _consumer_config(group: str, settings: Settings, process: Process, reader: ReaderWatch) -> dict[str, Any]:
    watch = LinkWatch(process, group, settings.kafka.kafka_bootstrap_servers)

    def polled(report: str) -> None:
        """Statistics come while the consumer is polled, be there messages or not: so the loop turns."""
        if not reader.finds_it_outside(kafka_away=process.misses("kafka")):
            process.beat()
        watch.statistics(report)

    return {
        **COMING_BACK,
        # No fixed member name: with one, a group keeps its old assignment when partitions are added (Kafka 4.1), and
        # a member that left for good keeps its partitions for a whole session. The price is one short session after
        # kill -9; heartbeats come from a thread of the C library's own, however busy we are.
        "session.timeout.ms": _SESSION_MS,
        "heartbeat.interval.ms": _SESSION_MS // 4,
        "statistics.interval.ms": LinkWatch.INTERVAL_MS,
        "stats_cb": polled,
        **_FETCHING,
    }
