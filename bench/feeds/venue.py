"""What `bench feeds` has to know of a venue: how its markets are called, what its sockets say, how ours read it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple, Protocol

from kernel.clock import Clock
from producers.base import Sockets


class Answer(NamedTuple):
    """To a message of a client."""

    texts: Iterable[str]
    numbers: Sequence[int] = ()
    """Markets of which the client is told from then on."""
    is_data: bool = True
    """Whether the texts count as frames."""


class Venue(Protocol):
    """A made-up venue. Markets are numbers from 0; each turn of one is a message that the market has changed."""

    name: str
    path: str
    """Of its WebSocket's address."""
    copies: int
    """On so many connections a market is told."""

    def token(self, number: int) -> str:
        """What a market is called on the sockets, as long as a real name."""

    def market_id(self, number: int) -> str:
        """Our id of it."""

    def sockets(self, url: str, clock: Clock) -> Sockets:
        """How a collector of ours speaks to it."""

    def connections(self, markets: int) -> int:
        """How many a collector opens for so many markets."""

    def answer(self, text: str, markets: int, opened_ms: int) -> Answer:
        """To what a client says. The state of a market at first is of `opened_ms`."""

    def change(self, number: int, token: str, turn: int, at_ms: int) -> str:
        """The so-many-th change of a market: each third moves the top up or down again.

        From the third turn to the fifth the top stands where a client finds it at first.
        """


def goes_up(turn: int) -> bool:
    """Whether the top stands higher after that change than at first."""
    return turn % 6 < 3
