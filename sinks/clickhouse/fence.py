"""Where to read on: the position of each topic-partition is the one the store recorded, not the one Kafka remembers.

The store's `ingest_offsets` say up to where everything is stored; reading goes on one after. So an offset committed too
late doubles nothing, and a store that was emptied or set back is filled again from what Kafka still holds.

A topic made anew counts from 0 again: its id is its epoch. A partition that has lost its newest data (a power cut, a
restored disk) gives offsets out a second time: its epoch goes on with a number behind the id, and reading goes back.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from kernel.kafka.readers import Place

REREAD_US = 3_600_000_000
"""How far before the fence was stored reading goes back when a partition was set back.

What a power cut takes was not on the disk yet, which is minutes; the ticks read twice are recognised.
"""


@dataclass(frozen=True, slots=True)
class Fence:
    """Up to where a place is stored, in one epoch. leader_epoch: of the message at `last_offset`, -1 when not known."""

    place: Place
    epoch: str
    last_offset: int
    leader_epoch: int = -1
    stored_at_us: int = 0


@dataclass(frozen=True, slots=True)
class Ends:
    """What Kafka holds of a place.

    low, high: first and next offset. leader_epoch: of the message at the fence, None when there is none any more.
    reread_from: first offset of the time to go back to, None when nothing is as new.
    """

    low: int
    high: int
    leader_epoch: int | None = None
    reread_from: int | None = None


@dataclass(slots=True)
class Positions:
    """Where each place is read on, in which epoch, and what had to be noticed on the way.

    lost: first and last offset of messages that Kafka deleted before they were stored. set_back: the fence of places
    whose log has lost messages that are stored.
    """

    offsets: dict[Place, int] = field(default_factory=dict)
    epochs: dict[Place, str] = field(default_factory=dict)
    lost: dict[Place, tuple[int, int]] = field(default_factory=dict)
    set_back: dict[Place, int] = field(default_factory=dict)


def in_force(fences: Iterable[Fence], topic_ids: Mapping[str, str]) -> dict[Place, Fence]:
    """The fence of each place in the epoch that its topic has now."""
    newest: dict[Place, Fence] = {}
    for fence in fences:
        topic_id, number = _parts(fence.epoch)
        if topic_id != topic_ids.get(fence.place[0]):
            continue
        known = newest.get(fence.place)
        if known is None or number > _parts(known.epoch)[1]:
            newest[fence.place] = fence
    return newest


def positions(ends: Mapping[Place, Ends], fences: Mapping[Place, Fence], topic_ids: Mapping[str, str]) -> Positions:
    """Where to read on: one after the fence; without one, the oldest that Kafka holds."""
    found = Positions()
    for place, end in ends.items():
        fence = fences.get(place)
        if fence is None:
            found.offsets[place], found.epochs[place] = end.low, topic_ids[place[0]]
        elif _is_set_back(fence, end):
            again = end.high if end.reread_from is None else end.reread_from
            found.offsets[place] = min(max(again, end.low), end.high)
            found.epochs[place] = _next_epoch(fence.epoch)
            found.set_back[place] = fence.last_offset
        else:
            wanted = fence.last_offset + 1
            found.offsets[place], found.epochs[place] = max(wanted, end.low), fence.epoch
            if wanted < end.low:
                found.lost[place] = (wanted, end.low - 1)
    return found


def _is_set_back(fence: Fence, end: Ends) -> bool:
    """The log is shorter than what was read from it, or has another leader's message in that place."""
    if fence.last_offset >= end.high:
        return True
    return (
        end.leader_epoch is not None
        and -1 not in (fence.leader_epoch, end.leader_epoch)
        and (fence.leader_epoch != end.leader_epoch)
    )


def _parts(epoch: str) -> tuple[str, int]:
    topic_id, _, number = epoch.partition("~")
    return topic_id, int(number or 0)


def _next_epoch(epoch: str) -> str:
    topic_id, number = _parts(epoch)
    return f"{topic_id}~{number + 1}"
