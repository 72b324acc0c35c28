"""Changelog topics of states that nobody goes on with: seen, and removed where nobody can.

Quix keeps a state in Kafka too, in `changelog__<group>--<input>--<store>`, compacted, so for ever. A group is named
after its log (`quix.group_of`): once the input was made anew, the state of the former log is of no use to anybody, for
no id comes twice. A group of another version of the program may be asked for again after a downgrade; that a person
decides (`movers topics former`).
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from typing import NamedTuple

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient

from kernel.errors import KafkaAwayError, UserError
from kernel.kafka.admin import open_admin
from kernel.kafka.readers import watermarks
from kernel.logs import get_logger
from kernel.settings import KafkaSettings

log = get_logger(__name__)

_NAME = re.compile(r"changelog__(?P<group>movers-.+?)--(?P<input>.+)--(?P<store>.+?)")
_OF_A_LOG = re.compile(r"(?P<stage>.+)-[0-9a-f]{8}")
_TIMEOUT_S = 10.0


class Former(NamedTuple):
    """A changelog that no processor of this version writes: its topic, how many messages it holds, and how many members
    its group has all the same."""

    topic: str
    messages: int
    members: int


def former(kafka: KafkaSettings, in_use: Collection[tuple[str, str]]) -> list[Former]:
    """All changelogs of ours but those of the groups and inputs that are in use.

    Raises:
        UserError: Kafka does not let us in.
        KafkaAwayError: it does not answer.
        KafkaException: it refuses.
    """
    admin, seen = open_admin(kafka)
    found = []
    for topic in sorted(seen.topics):
        name = _NAME.fullmatch(topic)
        if name is not None and (name["group"], name["input"]) not in in_use:
            messages = sum(high - low for low, high in watermarks(kafka, topic).values())
            found.append(Former(topic, messages, _members(admin, name["group"])))
    return found


def remove(kafka: KafkaSettings, topics: Iterable[str]) -> None:
    """Deletes topics.

    Raises:
        UserError, KafkaAwayError, KafkaException: as `former`.
    """
    admin, _ = open_admin(kafka)  # held until all is answered
    for future in admin.delete_topics(list(topics), request_timeout=_TIMEOUT_S).values():
        future.result()


def remove_of_former_logs(kafka: KafkaSettings, stage_group: str, group: str, input_topic: str) -> None:
    """Removes the changelogs that a stage has of logs that its input was before, as far as Kafka lets us.

    Args:
        stage_group: what the names of all its groups begin with.
        group: the one in use; nothing is removed when it is not named after a log.
        input_topic: what the stage reads.
    """
    if not _is_of_a_log(group, stage_group):
        return
    try:
        admin, seen = open_admin(kafka)
        gone = [
            topic
            for topic in sorted(seen.topics)
            if (name := _NAME.fullmatch(topic)) is not None
            and name["input"] == input_topic
            and name["group"] != group
            and _is_of_a_log(name["group"], stage_group)
            and not _members(admin, name["group"])
        ]
        if gone:
            remove(kafka, gone)
            log.info("former_changelogs_removed", topics=gone)
    except (KafkaException, KafkaAwayError, UserError) as error:
        log.warning("former_changelogs_kept", group=group, error=str(error))


def _is_of_a_log(group: str, stage_group: str) -> bool:
    of_a_log = _OF_A_LOG.fullmatch(group)
    return of_a_log is not None and of_a_log["stage"] == stage_group


def _members(admin: AdminClient, group: str) -> int:
    """How many are in a group now; none in one that Kafka does not know (any more)."""
    try:
        return len(admin.describe_consumer_groups([group], request_timeout=_TIMEOUT_S)[group].result().members)
    except KafkaException as error:
        if error.args[0].code() == KafkaError.GROUP_ID_NOT_FOUND:
            return 0
        raise
