"""What a venue brings: a feed that fetches its pages, and a catalogue that reads them. And what passes between."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, Protocol, TypeVar

from kernel.errors import BadMessageError
from producers.tracked import Tracked
from schemas.events import Market, Tick
from schemas.words import TickFlag, TickSource, TimeBasis

EventT = TypeVar("EventT")


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """One HTTP answer as received.

    `date_us` is the Date header (None when it has none), `ts_event_us` the same less Age: when the content was true.
    `asked_s` and `received_s` are our monotonic clock when the request went and when the last byte had come.
    """

    channel: str
    path: str
    status: int
    content_type: str
    body: bytes
    date_us: int | None
    ts_event_us: int | None
    ts_received_us: int
    asked_s: float
    received_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """The rows of one answer. `kind` names what they are, for the venue's own catalogue."""

    answer: Answer
    kind: str
    rows: Sequence[Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """When and how a page reached us; what all its ticks have in common."""

    ts_event_us: int
    ts_received_us: int
    ts_event_basis: TimeBasis
    source: TickSource
    heartbeat_s: int
    flags: tuple[TickFlag, ...] = ()


@dataclass(slots=True)
class Mapped(Generic[EventT]):
    """What a page yielded: events, rows that cannot be used, and how many were left out on purpose, by reason."""

    events: list[EventT] = field(default_factory=list)
    bad: list[BadMessageError] = field(default_factory=list)
    left_out: dict[str, int] = field(default_factory=dict)

    def leave_out(self, reason: str) -> None:
        """Counts one row that is none of ours."""
        self.left_out[reason] = self.left_out.get(reason, 0) + 1

    @property
    def rows(self) -> int:
        """Rows that were looked at for an event."""
        return len(self.events) + len(self.bad)


class Feed(Protocol):
    """Fetches a venue's pages. Nothing is interpreted here beyond paging.

    The iterators do I/O between pages, at the venue's allowed rate and with retries. They raise TransientError when
    the venue stays away or its answers stay unreadable, PermanentError when it refuses; the pages yielded before that
    are good. Pages may repeat or miss markets, since lists shift while they are read.
    Each answer, good or bad, has been handed to the `Witness` before it is used or refused.
    """

    def crawl(self) -> AsyncIterator[Page]:
        """All metadata."""

    def sweep(self) -> AsyncIterator[Page]:
        """The prices of all open markets."""

    def hot(self, ids: Sequence[str]) -> AsyncIterator[Page]:
        """Fresh prices of a few markets, named as `Catalog.hot_ids` names them."""

    def lookup(self, ids: Sequence[str]) -> AsyncIterator[Page]:
        """Metadata of markets by the venue's own ids, whatever their status."""

    async def close(self) -> None:
        """Closes the connections."""


class Catalog(Protocol):
    """Reads a venue's pages into events, and knows the markets met so far. No I/O, no clock."""

    tracked: Tracked

    def learn(self, page: Page, moment: Moment) -> Mapped[Market]:
        """Markets of a metadata page, all that are readable."""

    def ticks(self, page: Page, moment: Moment) -> Mapped[Tick]:
        """Ticks of a price or metadata page, one for each readable market."""

    def market_id(self, venue_market_id: str) -> str:
        """Our id of a market from the venue's."""

    def hot_ids(self, count: int) -> list[str]:
        """The busiest open markets, as `Feed.hot` wants them named."""


class Witness(Protocol):
    """Sees every answer and every refusal, so that nothing is swallowed inside a feed."""

    def answered(self, answer: Answer) -> None:
        """An answer has come, good or bad."""

    def refused(self, error: BadMessageError, channel: str) -> None:
        """An answer cannot be used."""


@dataclass(frozen=True, slots=True)
class Collector:
    """A venue put together."""

    venue: str
    feed: Feed
    catalog: Catalog
    on_loopback: bool
