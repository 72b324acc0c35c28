"""The sink as a member of its consumer group: which partitions are ours, and from where each is read.

Kafka says which, the store says from where. Until the second is known for what the first gave, `reassigned` holds, and
nothing that was read is believed.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from kernel.errors import KafkaAwayError, PermanentError, UserError
from kernel.kafka.link import LinkWatch, about_the_link
from kernel.kafka.readers import Place, consumer
from kernel.logs import get_logger
from kernel.process import Process, Stopped
from kernel.reader_watch import ReaderWatch
from kernel.settings import KafkaSettings
from sinks.clickhouse.commits import Commits
from sinks.clickhouse.log_ends import Bounds, TopicFacts, Topics
from sinks.clickhouse.pending import Pending
from sinks.clickhouse.takeover import Takeover

log = get_logger(__name__)

GROUP = "clickhouse-sink"

_CONSUMER_CONFIG: dict[str, Any] = {
    # A static member: a sink that was killed and started again on its machine gets its partitions back at once, instead
    # of waiting for the session of the dead one to end. A second one on the same machine fences the first.
    "group.instance.id": f"{GROUP}-{socket.gethostname()}",
    "session.timeout.ms": 10_000,
    "heartbeat.interval.ms": 2_000,
    # We say where to read, always. An offset that Kafka does not have is an error here, never a jump to elsewhere.
    "auto.offset.reset": "error",
    # A leader learns of new partitions from its metadata, by default after five minutes.
    "topic.metadata.refresh.interval.ms": 5_000,
    # A batch is gathered for longer than this. To answer each message at once cost the broker a seventh of its work (33
    # and 28 % of a core at 2,000 ticks a second).
    "fetch.min.bytes": 1 << 20,
    "fetch.wait.max.ms": 100,
    # What librdkafka fetches ahead while a batch is being stored.
    "queued.max.messages.kbytes": 32_768,
    "queued.min.messages": 20_000,
}

# The group has put this member out for good: another one has its name. `error.fatal()` is False for the first two.
_PUT_OUT = frozenset({KafkaError._FATAL, KafkaError._FENCED, KafkaError.FENCED_INSTANCE_ID})
# The group has gone on without this member, or is just sharing the partitions out anew.
_LEFT_BEHIND = frozenset(
    {
        *(KafkaError.ILLEGAL_GENERATION, KafkaError.UNKNOWN_MEMBER_ID, KafkaError.REBALANCE_IN_PROGRESS),
        *(KafkaError._ASSIGNMENT_LOST, KafkaError.STALE_MEMBER_EPOCH),
    }
)
# The position is none that Kafka has: it deleted what was there, or lost its newest data.
_OFF_THE_LOG = frozenset({KafkaError._AUTO_OFFSET_RESET, KafkaError._LOG_TRUNCATION, KafkaError.OFFSET_OUT_OF_RANGE})
# Told once, and never that it is over: a sink that waited for that would not know when.
_NO_RIGHT_TO_READ = frozenset({KafkaError.TOPIC_AUTHORIZATION_FAILED, KafkaError.GROUP_AUTHORIZATION_FAILED})


_ANSWER_S = 5.0
"""So long an answer to a commit is waited for; it comes within milliseconds."""
_ANSWER_LOOK_S = 0.002


class Reassigned(Exception):
    """The partitions changed while a batch waited: it may belong to another sink now, so it is dropped."""


class Membership:
    """Our place in the group, through one client after the other. One thread."""

    def __init__(self, kafka: KafkaSettings, process: Process, names: Sequence[str], takeover: Takeover) -> None:
        self._kafka, self._process, self._takeover = kafka, process, takeover
        self._names = list(names)
        self._topics = Topics(kafka, self._names)
        self._reader_watch = ReaderWatch(kafka, "store")
        self._commits = Commits()
        self._consumer = self._new_consumer()
        self._is_new_client = True
        self._shares = 0
        """How often partitions were given or taken."""
        self._ahead: list[Message] = []
        """What the client told while an answer was waited for: the next to be read."""
        self._assigned: list[Place] = []
        self._positions: dict[Place, int] = {}
        self._known: dict[str, TopicFacts] = {}
        self.epochs: dict[Place, str] = {}
        """Of each place, which of the topics that ever had its name it is of."""
        self.reassigned = False
        """Whether what was read may belong to positions that no longer hold."""

    def _new_consumer(self) -> Consumer:
        watch = LinkWatch(self._process, GROUP, self._kafka.kafka_bootstrap_servers)
        overrides = {**_CONSUMER_CONFIG, **self._commits.config()}
        return consumer(self._kafka, GROUP, from_start=True, watch=watch, overrides=overrides)

    def subscribe(self) -> None:
        """Asks the group for our share."""
        self._consumer.subscribe(self._names, on_assign=self._on_assign, on_revoke=self._on_revoke)

    def read(self, most: int, timeout_s: float) -> list[Message]:
        """What Kafka has, errors among it. Looks meanwhile whether the topics are what they were, and the client well.

        Raises:
            PermanentError: another member has our name.
            UserError: Kafka does not let us read any more.
        """
        messages, self._ahead = self._ahead[:most], self._ahead[most:]
        if len(messages) < most:
            messages += self._consumer.consume(most - len(messages), timeout=timeout_s)
        self._notice(self._topics.news())
        if self._reader_watch.finds_it_stuck(self._positions):
            self._read_with_another_client()
        for message in messages:
            error = message.error()
            if error is not None and (error.fatal() or error.code() in _PUT_OUT):
                raise _put_out(error)
            if error is not None and error.code() in _NO_RIGHT_TO_READ:
                raise _locked_out(error, message.topic())
        return messages

    def is_outside(self) -> bool:
        """Whether the group has left us waiting for longer than it can take."""
        return self._reader_watch.finds_it_outside(kafka_away=self._process.misses("kafka"))

    def expected(self, messages: list[Message]) -> list[Message]:
        """Those that follow what is stored; errors that pass by themselves are told."""
        good = []
        for message in messages:
            error = message.error()
            if error is None:
                position = self._positions.get((message.topic(), message.partition()))
                if position is not None and message.offset() >= position:
                    good.append(message)
                continue
            if not about_the_link(error):
                log.warning("kafka_error", code=error.name(), detail=error.str())
            if error.code() in _OFF_THE_LOG:
                self.reassigned = True
        return good

    def confirm(self) -> None:
        """Asks Kafka, by a commit of where we stand, whether the partitions are still ours.

        Raises:
            KafkaAwayError: no answer.
            PermanentError: another member has our name.
            Reassigned: the group went on without us.
            UserError: Kafka does not let us into the group any more.
        """
        places = [TopicPartition(*place, offset) for place, offset in self._positions.items()]
        try:
            self._answers_come()
            self._commits.take_errors()
            self._commits.send(self._consumer, places)
            self._answers_come()
            errors = self._commits.take_errors()
        except KafkaException as error:
            errors = [error.args[0]]
        codes = {error.code(): error for error in errors}
        if out := _PUT_OUT & codes.keys():
            raise _put_out(codes[min(out)])
        if locked := _NO_RIGHT_TO_READ & codes.keys():
            raise _locked_out(codes[min(locked)], None)
        if _LEFT_BEHIND & codes.keys():
            self.reassigned = True
            raise Reassigned
        if errors:
            raise KafkaAwayError(f"Kafka does not take a position: {errors[0].str()}")

    def _answers_come(self) -> None:
        """Returns once every commit was answered.

        Raises:
            KafkaAwayError: some were not, within `_ANSWER_S`.
            Reassigned: the partitions changed meanwhile.
        """
        shares = self._shares
        is_answered = self._await_answers()
        if self._shares != shares:
            raise Reassigned
        if not is_answered:
            raise KafkaAwayError("Kafka does not answer whether our partitions are ours")

    def _await_answers(self) -> bool:
        """Whether every commit is answered within `_ANSWER_S`. What the client tells meanwhile is read next."""
        deadline_s = time.monotonic() + _ANSWER_S
        while self._commits.on_their_way:
            if time.monotonic() > deadline_s:
                return False
            message = self._consumer.poll(_ANSWER_LOOK_S)
            if message is not None:
                self._ahead.append(message)
        return True

    def commit(self, offsets: Mapping[Place, int]) -> None:
        """The messages up to these are stored: what follows them is expected next."""
        for (topic, partition), offset in offsets.items():
            self._positions[topic, partition] = offset + 1
        # Kafka's copy of the position is for lag displays only; the store's decides. So its loss is not an error.
        done = [TopicPartition(topic, partition, offset + 1) for (topic, partition), offset in offsets.items()]
        try:
            self._commits.send(self._consumer, done)
        except KafkaException as error:
            log.warning("commit_failed", detail=str(error))

    def bounds(self, name: str) -> Bounds:
        """Asks where a topic, all of it and not our share alone, begins and ends."""
        return self._topics.bounds(name, self._known[name].partitions)

    def topic_id(self, name: str) -> str:
        """Which of the topics that ever had this name it is of now."""
        return self._known[name].topic_id

    def take_positions(self, claimed: Callable[[Pending], None]) -> None:
        """Finds from where what we were given is read, and reads on from there, after `claimed` was told our claim.

        Raises:
            KafkaAwayError, StoreAwayError, RegistryAwayError: no answer.
            Reassigned: it is not what we are to have.
        """
        if not self._assigned:
            self.reassigned = False
            return
        self._notice(self._topics.look())
        if not self._assigned:
            raise Reassigned
        is_first, self._is_new_client = self._is_new_client, False
        existing = {(name, number) for name, facts in self._known.items() for number in range(facts.partitions)}
        if not existing.issuperset(self._assigned) or (is_first and existing != set(self._assigned)):
            # A share from before there were as many, or fewer, or while a topic was missing: a static member that comes
            # back with a new client is given what it had. Where other sinks have the rest it costs a moment.
            log.info("sharing_out_anew", assigned=len(self._assigned), existing=len(existing))
            self._share_out_anew()
            raise Reassigned
        positions = self._takeover.positions(self._consumer, self._assigned, self._known)
        self._positions, self.epochs = positions.offsets, positions.epochs
        self.confirm()
        claimed(self._takeover.finish_pending(positions))
        self.reassigned, self._ahead = False, []
        places = [TopicPartition(*place, offset) for place, offset in positions.offsets.items()]
        self._consumer.assign(places)
        self._consumer.resume(places)  # a partition that was paused when it was taken away comes back paused
        log.info("positions_taken", partitions=len(positions.offsets))

    def wait(self, pause_s: float) -> None:
        """Stays a member for so long, without taking anything: memory stays bounded.

        Raises:
            Stopped: the process is told to stop.
            Reassigned: the partitions changed meanwhile.
        """
        was_reassigned = self.reassigned
        assigned = self._consumer.assignment()
        if assigned:
            self._consumer.pause(assigned)
        deadline_s = time.monotonic() + pause_s
        while (left_s := deadline_s - time.monotonic()) > 0:
            if self._process.stopping.is_set():
                raise Stopped
            message = self._consumer.poll(min(left_s, 0.2))
            if message is not None and message.error() is None:
                # Fetched before the pause took hold: go back to it.
                self._consumer.seek(TopicPartition(message.topic(), message.partition(), message.offset()))
            self._process.beat()
        if self.reassigned and not was_reassigned:
            raise Reassigned

    def resume(self) -> None:
        """Reads on after a wait."""
        self._consumer.resume(self._consumer.assignment())

    def close(self) -> None:
        """Leaves the group, and lets the clients go."""
        self._leave()
        self._reader_watch.close()
        self._topics.close()

    def _leave(self) -> None:
        """Closes the client. One whose commits are not answered is let go as it is: closing it would wait for them."""
        if self._await_answers():
            self._consumer.close()
        else:
            log.warning("client_not_closed", unanswered=self._commits.on_their_way)

    def _on_assign(self, reader: Consumer, partitions: list[TopicPartition]) -> None:
        # Only noted: the positions come from the store, and waiting for it inside this callback would block Kafka.
        reader.assign([])
        self._reader_watch.joined()
        self._assigned = [(p.topic, p.partition) for p in partitions]
        self._share_changed()

    def _on_revoke(self, reader: Consumer, _partitions: list[TopicPartition]) -> None:
        reader.unassign()
        self._assigned = []
        self._share_changed()

    def _share_changed(self) -> None:
        """Nothing that was read is believed until it is known from where the new share is read."""
        self._shares += 1
        self._positions, self._ahead, self.reassigned = {}, [], True

    def _notice(self, topics: Mapping[str, TopicFacts]) -> None:
        """A topic made anew, or with more partitions: neither does the client take up by itself, or not always."""
        before, self._known = self._known, {**self._known, **topics}
        changed = {name: now for name, now in topics.items() if name in before and now != before[name]}
        made_anew = [name for name, now in changed.items() if now.topic_id != before[name].topic_id]
        for name, now in changed.items():
            event = "topic_made_anew" if name in made_anew else "partitions_added"
            log.warning(event, topic=name, partitions=now.partitions, before=before[name].partitions)
        if made_anew:
            # A client that has read the old topic may never read the new one (librdkafka 2.12.1).
            self._read_with_another_client()
        elif changed:
            self._share_out_anew()

    def _read_with_another_client(self) -> None:
        self._leave()
        self._commits = Commits()
        self._consumer = self._new_consumer()
        self._is_new_client = True
        self._assigned = []
        self._share_changed()
        self.subscribe()

    def _share_out_anew(self) -> None:
        """Makes the group share its partitions out again: a member that asks for something else has it do so.

        A static member that comes back gets the assignment of before, and nobody of the group looks whether there are
        more partitions by now. The order of the names is what the broker sees as something else.
        """
        self._names = [*self._names[1:], self._names[0]]
        self.subscribe()


def _put_out(error: KafkaError) -> PermanentError:
    cure = "most likely another one was started on this machine, or on another of its name, and a machine has one sink"
    return PermanentError(f"Kafka put this sink out: {cure}: {error.str()}")


def _locked_out(error: KafkaError, topic: str | None) -> UserError:
    is_of_topic = topic and error.code() == KafkaError.TOPIC_AUTHORIZATION_FAILED
    what = f"topic {topic}" if is_of_topic else f"group {GROUP}, or a topic of it"
    return UserError(f"Kafka does not let us read {what}: give our user the right to READ it")
