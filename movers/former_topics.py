"""`movers topics former`: what earlier versions of the processors left in Kafka, for a person to look at and delete."""

from __future__ import annotations

from collections.abc import Callable

from kernel.settings import KafkaSettings
from processors.former_changelogs import former, remove
from processors.log_watch import look
from processors.quix import group_of
from processors.registry import PROCESSORS, load


def show(kafka: KafkaSettings, *, delete: bool, write: Callable[[str], object]) -> None:
    """Writes a line for each; deletes those whose group has no member, when told to.

    Raises:
        UserError: Kafka does not let us in, or has not the topics that processors read.
        KafkaAwayError: it does not answer.
    """
    stages = [load(name).stage for name in PROCESSORS]
    found = former(kafka, {(group_of(stage, look(kafka, stage.input.name)), stage.input.name) for stage in stages})
    for one in found:
        kept = f", in use by {one.members}" if one.members else ""
        write(f"{one.topic}\t{one.messages} messages{kept}")
    gone = [one.topic for one in found if not one.members]
    if delete and gone:
        remove(kafka, gone)
        write(f"deleted {len(gone)}")
    elif gone:
        write("delete them with --delete; a processor of the version that made them would begin anew")
    elif not found:
        write("none")
