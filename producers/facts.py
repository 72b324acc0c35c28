"""What a stream's frame tells, the same words for all venues. A venue's `frames.py` reads bytes into these. Pure."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, Literal, NamedTuple

import orjson

from kernel.errors import BadMessageError

_REMEMBERED_TRADES: Final = 4_096

NewsWord = Literal["listed", "changed", "ended"]


class Top(NamedTuple):
    """Best bid and ask of outcome 0, and what else the frame says of the market's state.

    `token` is the venue's name of what is quoted. Prices in parts per million, sizes in contracts. A side that is
    empty is None, a size that is not known too. `ts_us` is the venue's stamp, 0 where the frame has none; `order`
    counts up within a market on every connection alike (the exchange's clock, else the stamp), so that two
    connections can be merged, channel by channel. `opening`: the state at the moment of subscribing, whose stamp is of
    its last change.
    """

    token: str
    bid_ppm: int | None
    ask_ppm: int | None
    bid_size_contracts: float | None
    ask_size_contracts: float | None
    ts_us: int
    order: int
    opening: bool = False
    last_ppm: int | None = None
    volume_contracts: float | None = None
    channel: str = ""


class Traded(NamedTuple):
    """A trade, as a price of outcome 0. `trade_id` is the same on every delivery of the same trade."""

    token: str
    price_ppm: int
    contracts: float
    ts_us: int
    trade_id: str


class LastTrades:
    """The ids of the last trades of a connection: venues deliver some of them twice."""

    __slots__ = ("_ids",)

    def __init__(self) -> None:
        self._ids: dict[str, None] = {}

    def is_first(self, trade_id: str) -> bool:
        """Whether a trade is delivered for the first time; it is remembered."""
        if trade_id in self._ids:
            return False
        self._ids[trade_id] = None
        if len(self._ids) > _REMEMBERED_TRADES:
            del self._ids[next(iter(self._ids))]
        return True


class News(NamedTuple):
    """Something has happened to a market that its REST row tells in full: worth looking up by its venue's id."""

    market: str
    word: NewsWord
    ts_us: int


class Ack(NamedTuple):
    """The venue's answer to a command of ours. `code` is 0 unless it is an error."""

    command: int
    channel: str
    subscription: int
    code: int = 0
    text: str = ""


Fact = Top | Traded | News


class Facts:
    """All that one frame told.

    `facts` in the order told; `heard`: tokens that were spoken of, changed or not; `doubts`: tokens of which something
    must have been missed; `missed`: by channel, how many messages never came, by the venue's own numbers;
    `left_out`: what was not used, by reason.
    """

    __slots__ = ("acks", "bad", "doubts", "facts", "heard", "left_out", "missed", "opened")

    def __init__(self) -> None:
        self.facts: list[Fact] = []
        self.heard: list[str] = []
        self.opened: list[str] = []
        self.doubts: list[str] = []
        self.missed: dict[str, int] = {}
        self.acks: list[Ack] = []
        self.bad: list[BadMessageError] = []
        self.left_out: dict[str, int] = {}

    def leave_out(self, reason: str) -> None:
        """One more thing that was not used."""
        self.left_out[reason] = self.left_out.get(reason, 0) + 1


def read_frame(body: bytes, read: Callable[[Any, Facts], None]) -> Facts:
    """What a frame tells: one object, or an array of them. Broken parts are in `bad` and cost nothing else.

    Args:
        read: a venue's own, of one object.
    """
    facts = Facts()
    try:
        parsed = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        facts.bad.append(BadMessageError("not_json", str(error), body))
        return facts
    for item in parsed if isinstance(parsed, list) else (parsed,):
        try:
            read(item, facts)
        except BadMessageError as error:
            facts.bad.append(error)
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
            facts.bad.append(bad_frame(error, body))
    return facts


def bad_frame(error: Exception, body: bytes) -> BadMessageError:
    """The refusal of a frame, or of a part of one, that is odd beyond what its reader expected."""
    reason = "missing_field" if isinstance(error, KeyError) else "bad_frame"
    return BadMessageError(reason, f"{type(error).__name__}: {error}"[:200], body)
