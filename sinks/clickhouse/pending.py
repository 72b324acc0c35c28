"""What a sink records before it inserts, and what its successor has to carry out first.

A sink that was killed or cut off while the store was slow leaves an insert that may still land, after its successor has
looked at what is stored. So the offsets of a batch are recorded before the batch is inserted; a successor reads exactly
those again and inserts the identical block under the identical tokens: whichever of the two lands second is known by
its token and dropped.

A sink inserts only after Kafka has confirmed, later than the record, that it is still a member of the group. So what is
inserted was recorded before the successor got the partitions, and the successor sees the record.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace

from kernel.kafka.readers import Place
from sinks.clickhouse.batch import Span


@dataclass(frozen=True, slots=True)
class Pending:
    """The offsets of a batch about to be inserted by `owner`, one take-over of partitions by one sink.

    generation: higher than that of every take-over before it. number: counts the batches of the owner, from 1; 0 is the
    claim, without spans. skipped: (partition, offset) of ticks that are stored already and are left out.
    """

    owner: str
    generation: int
    number: int = 0
    spans: Mapping[Place, Span] = field(default_factory=dict)
    skipped: frozenset[tuple[int, int]] = frozenset()


def unfinished(
    pendings: Iterable[Pending], stored_to: Mapping[Place, int], epochs: Mapping[Place, str], mine: Collection[Place]
) -> list[Pending]:
    """Records that concern one of `mine` and lie beyond what is stored, without spans of topics that are gone.

    Of two records of one place the later generation counts: the earlier one was dropped by its owner, which had lost
    the place, or it would be stored by now.

    Args:
        pendings: the newest record of each owner.
        stored_to: the fence of each place that has one, of all places and not of `mine` alone.
        epochs: the epoch in force of each place.
        mine: the places of the sink that asks.
    """
    waiting = []
    for pending in pendings:
        spans = {place: span for place, span in pending.spans.items() if epochs.get(place) == span.epoch}
        if not spans.keys().isdisjoint(mine) and all(
            span.first > stored_to.get(place, -1) for place, span in spans.items()
        ):
            waiting.append(replace(pending, spans=spans))
    waiting.sort(key=lambda pending: (pending.generation, pending.number))
    newest = {place: pending for pending in waiting for place in pending.spans}
    return [pending for pending in waiting if all(newest[place] is pending for place in pending.spans)]
