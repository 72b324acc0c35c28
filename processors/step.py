"""What a processor does to one message, seen from outside: bytes and remembered bytes in, messages and bytes out.

A step is pure but for its codecs. It does all that can fail before anything is changed, so that a message that cannot
be used leaves no trace in the state.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from kernel.errors import BadMessageError, MoversError
from schemas.codec import UndecodableError
from schemas.events import Move, Tick

Remembered = tuple[bytes | None, ...]
"""A market's state in the parts in which it is stored: what seldom changes is seldom written."""


class Result(NamedTuple):
    """What became of one message.

    `event` is the message decoded; `outputs` are the values to publish under its key; `remember` is the state to keep,
    part by part, None where there is nothing; `late` says that the event was not newer than its market's last, so that
    nothing changed.
    """

    event: Tick | Move
    outputs: tuple[bytes, ...]
    remember: Remembered
    late: bool = False


Step = Callable[[bytes, Remembered], Result]
"""From a message's value and the remembered state. May raise anything; see `guarded`."""


def guarded(step: Step, key: bytes, value: bytes | None, remembered: Remembered) -> Result:
    """Runs a step on a message. What the message is to blame for becomes a BadMessageError.

    Raises:
        BadMessageError: no key, no value, undecodable, filed under a wrong key, or not to be computed with.
        MoversError: what the environment is to blame for, as it came: the message may well be fine.
    """
    if not key or not value:
        raise BadMessageError("empty", "no key" if not key else "no value", value or b"")
    try:
        result = step(value, remembered)
    except MoversError:
        raise
    except UndecodableError as error:
        raise BadMessageError("undecodable", str(error), value) from error
    except Exception as error:
        raise BadMessageError("failed", f"{type(error).__name__}: {error}", value) from error
    if result.event.market_id.encode() != key:
        raise BadMessageError("wrong_key", f"key {key[:80]!r} carries {result.event.market_id}", value)
    return result
