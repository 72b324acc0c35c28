"""What a processor does to one message, seen from outside: bytes and what is known in, messages and what is known out.

A step is pure but for its codecs: it never changes what it was given, so that a message that cannot be used leaves no
trace in the state.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any, ParamSpec, TypeVar

from kernel.errors import BadMessageError, MoversError
from kernel.logs import get_logger
from kernel.metrics import STATE_DROPPED
from kernel.process import Process
from kernel.schema_registry import SchemaRegistry
from kernel.settings import Settings
from schemas.codec import UndecodableError
from schemas.events import Alert, Bar, Market, Move, Tick
from schemas.frozen import dataclass
from schemas.times import is_ahead
from schemas.topics import Topic
from schemas.units import US_PER_S

log = get_logger(__name__)

StateT = TypeVar("StateT")
Parts = ParamSpec("Parts")

Remembered = tuple[bytes | None, ...]
"""A market's state in the parts in which it is stored: what seldom changes is seldom written."""

Known = Any
"""A market's state as a step works with it, of the step's own kind and never changed in place; a `Stage` packs it."""

MarketEvent = Tick | Move | Bar | Alert | Market
"""What a processor may read: an event of one market. Compiled code asks what it is in this order."""

Output = tuple[str, bytes]
"""Topic and value of a message to publish."""


@dataclass(frozen=True, slots=True)
class Result:
    """What became of one message.

    `event` is the message decoded; `outputs` are published under its key; `known` is the state to keep; `late` says
    that the event was not newer than its market's last, so that nothing changed; `due_us` is the venue time at which
    the market is to be looked at again, should no message of it come.
    """

    event: MarketEvent
    outputs: tuple[Output, ...]
    known: Known
    late: bool = False
    due_us: int | None = None


@dataclass(frozen=True, slots=True)
class Passed:
    """What became of a market because time passed. `venue` is whose time it is; the rest is as in `Result`."""

    venue: str
    outputs: tuple[Output, ...]
    known: Known
    due_us: int | None


Step = Callable[[bytes, Known], Result]
"""From a message's value and the state. May raise anything; see `guarded`."""


OnTime = Callable[[str, int, Known], Passed]
"""From a market, the venue time that other markets have reached, and the state."""


@dataclass(frozen=True, slots=True)
class Work:
    """What a processor does with a message, and what it does with a market when time has passed, if anything."""

    step: Step
    on_time: OnTime | None = None


def _as_it_is(parts: Remembered) -> Remembered:
    return parts


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """One processor: its name (consumer group, metrics, state folder), what it reads, writes and keeps.

    `state_keys` name the parts of a market's state. Those in `seldom` change seldom and are stored apart, so that they
    are not written with every message. `unpack` and `pack` turn stored parts, each None where there is nothing, into
    what the step works with and back; unpacking never fails (see `recalled`).
    """

    name: str
    input: Topic
    outputs: tuple[Topic, ...]
    state_keys: tuple[str, ...]
    seldom: tuple[str, ...] = ()
    unpack: Callable[[Remembered], Known] = _as_it_is
    pack: Callable[[Known], Remembered] = _as_it_is

    @property
    def group(self) -> str:
        """Consumer group."""
        return f"movers-{self.name}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Processor:
    """What `processors.registry` knows of one.

    `start` is called once, in the process that runs it, and gives the work; what it opens is to be closed through the
    exit stack, and what it waits for goes through the process.
    """

    stage: Stage
    start: Callable[[SchemaRegistry, Settings, Process, ExitStack], Work]


def recalled(
    stage: str, part: str, unpack: Callable[Parts, StateT], *stored: Parts.args, **nothing: Parts.kwargs
) -> StateT | None:
    """The state in the bytes; None, told, when they are of a version that nobody reads any more.

    The message that meets such a state is not to blame: the part begins anew with it.
    """
    try:
        return unpack(*stored, **nothing)
    except (ValueError, struct.error) as error:
        STATE_DROPPED.labels(stage, part).inc()
        log.warning("state_dropped", stage=stage, part=part, error=str(error))
        return None


def guarded(step: Step, key: bytes, value: bytes | None, known: Known, published_us: int) -> Result:
    """Runs a step on a message. What the message is to blame for becomes a BadMessageError.

    Args:
        published_us: when Kafka was given the message.

    Raises:
        BadMessageError: no key, no value, undecodable, filed under a wrong key, not to be computed with, or stamped
            ahead of its receipt or of its publication: it would be its market's newest moment for as long.
        MoversError: what the environment is to blame for, as it came: the message may well be fine.
    """
    if not key or not value:
        raise BadMessageError("empty", "no key" if not key else "no value", value or b"")
    try:
        result = step(value, known)
    except MoversError:
        raise
    except UndecodableError as error:
        raise BadMessageError("undecodable", str(error), value) from error
    except Exception as other:  # compiled, one name holds errors of one type
        raise BadMessageError("failed", f"{type(other).__name__}: {other}", value) from other
    event = result.event
    if event.market_id.encode() != key:
        raise BadMessageError("wrong_key", f"key {key[:80]!r} carries {event.market_id}", value)
    if is_ahead(event.ts_event_us, min(event.ts_received_us, published_us)):
        ahead_s = (event.ts_event_us - min(event.ts_received_us, published_us)) // US_PER_S
        raise BadMessageError("stamped_ahead", f"{ahead_s} s ahead of its receipt", value)
    return result
