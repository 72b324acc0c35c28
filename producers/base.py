"""What passes between the parts of a collector, and what a venue brings: a feed that fetches, a reader that maps."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, Protocol, TypeVar

from kernel.clock import Clock
from kernel.errors import BadMessageError
from kernel.settings import Group, Settings
from producers.facts import Facts
from producers.fields import Row
from producers.shards import Shard
from producers.ticks import Earlier, Moment, Shown
from schemas import words
from schemas.events import Market
from schemas.units import US_PER_S
from schemas.words import Category, RawKind, TickSource

EventT = TypeVar("EventT")


@dataclass(frozen=True, slots=True)
class Errand:
    """What an answer was asked for, or a frame subscribed to.

    `promise_s`: venue seconds within which the markets in it will be seen again, by whatever source; 0 = no promise.
    """

    word: words.Errand
    promise_s: int = 0

    @property
    def source(self) -> TickSource:
        """What a tick from it calls its source."""
        return _SOURCES[self.word]


_SOURCES: dict[words.Errand, TickSource] = {
    "crawl": "sweep",
    "sweep": "sweep",
    "lookup": "sweep",
    "hot": "hot",
    "history": "backfill",
    "stream": "stream",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Received:
    """One answer or one frame of a venue, as received.

    Args:
        kind: rest or ws.
        errand: what it was asked for.
        channel: path and query of the request, or the channel of the frame.
        connection_id: one life of one connection (of one host's client, for REST).
        sequence: counts up by one with each message of the connection, from 0.
        body: the bytes, content decoding taken off.
        ts_received_us: our clock when the last byte had come.
        ts_asked_us: our clock when an answer was asked for. None for a frame.
        status: HTTP status; None for a frame.
        date_us: when the venue sent it, by its own clock: the Date header, or a frame's sending stamp. None without.
        age_s: for how long a cache had kept it (the Age header). None without.
        pace: what the header Simulator-Pace says; empty at a live venue.
    """

    kind: RawKind = "rest"
    errand: Errand
    channel: str
    connection_id: str
    sequence: int
    body: bytes
    ts_received_us: int
    ts_asked_us: int | None = None
    status: int | None = None
    content_type: str = ""
    date_us: int | None = None
    age_s: int | None = None
    pace: str = ""

    @property
    def path(self) -> str:
        """The channel without its query."""
        return self.channel.partition("?")[0]

    @property
    def ts_venue_us(self) -> int | None:
        """When its content was true, as the venue says: Date less Age."""
        return None if self.date_us is None else self.date_us - (self.age_s or 0) * US_PER_S


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """The rows of one answer or frame. `kind` names what they are, for the venue's own reader."""

    received: Received
    kind: str
    rows: Sequence[Any]


@dataclass(slots=True)
class Mapped(Generic[EventT]):
    """What a page yielded: events, rows that cannot be used, and how many were left out on purpose, by reason."""

    events: list[EventT] = field(default_factory=list)
    bad: list[BadMessageError] = field(default_factory=list)
    left_out: dict[str, int] = field(default_factory=dict)

    def leave_out(self, reason: str) -> None:
        """Counts one row that is none of ours."""
        self.left_out[reason] = self.left_out.get(reason, 0) + 1


class Feed(Protocol):
    """Fetches a venue's pages. Nothing is interpreted here beyond paging.

    The iterators do I/O between pages, at the venue's allowed rate and with retries. They raise TransientError when
    the venue stays away or its answers stay unreadable, PermanentError when it refuses; the pages yielded before that
    are good. Pages may repeat or miss markets, since lists shift while they are read.
    Each answer, good or bad, has been handed to the `Witness` before it is used or refused.
    """

    def crawl(self, errand: Errand) -> AsyncIterator[Page]:
        """All metadata."""

    def sweep(self, errand: Errand) -> AsyncIterator[Page]:
        """The prices of all open markets."""

    def hot(self, ids: Sequence[str], errand: Errand) -> AsyncIterator[Page]:
        """Fresh prices of a few markets, named as `Reader.hot_id` names them."""

    def lookup(self, ids: Sequence[str], errand: Errand) -> AsyncIterator[Page]:
        """Rows of markets by the venue's own ids, whatever their status."""

    async def close(self) -> None:
        """Closes the connections."""


LastShown = Callable[[str], Shown | None]
"""What was last shown of the market that a token belongs to."""


class Reader(Protocol):
    """Maps a venue's rows. No I/O, no clock; it remembers only what a row of one kind needs from rows of another
    (series, events). `Catalog` calls it row by row: what it raises costs that row and no other."""

    def page(self, received: Received, body: Any) -> Page | None:
        """The page in an answer's parsed body; None when it holds none that is read."""

    def begins_crawl(self, page: Page) -> bool:
        """Whether a page is the first of a crawl's listing."""

    def let_go(self, now_us: int) -> None:
        """A crawl begins, by our clock: what is remembered and was not named for long may be forgotten."""

    def unfold(self, kind: str, row: Row) -> Iterator[tuple[Any, Any]]:
        """The market rows in a row, each with what `market` needs of its event; none for a series."""

    def left_out(self, row: Row) -> str:
        """Why a market row is none of ours; empty when it is."""

    def market(self, context: Any, row: Row, moment: Moment) -> Market:
        """A market row as a Market. Raises BadMessageError."""

    def shown(self, kind: str, row: Row, moment: Moment, last: LastShown) -> Shown | None:
        """What a row shows of a market's price; None when it cannot be told which market. Raises BadMessageError."""

    def earlier(self, row: Row, shown: Shown, moment: Moment) -> tuple[Earlier, ...]:
        """What a market row says of earlier prices, the oldest first. Raises BadMessageError."""

    def market_id(self, venue_market_id: str) -> str:
        """Our id of a market from the venue's."""

    def hot_id(self, market_id: str, token_id: str) -> str:
        """How `Feed.hot` wants a market named."""


class Witness(Protocol):
    """Sees every answer and every refusal, so that nothing is swallowed inside a feed."""

    def received(self, received: Received) -> None:
        """An answer or a frame has come, good or bad."""

    def refused(self, error: BadMessageError, channel: str) -> None:
        """An answer or a frame cannot be used."""


class Frames(Protocol):
    """Reads one connection's frames.

    `subscription`: the number that the venue gave to what is followed; 0 where it gives none, or has not yet.
    """

    subscription: int

    def read(self, body: bytes) -> Facts:
        """What a frame tells."""

    def follow(self, tokens: Iterable[str]) -> None:
        """Subscribed, now or anew."""

    def leave(self, tokens: Iterable[str]) -> None:
        """Not subscribed any more."""


class Speech(Protocol):
    """How a venue's frames are understood, live or from a tape. `mirrored`: all its connections tell the same."""

    mirrored: bool

    def reader(self) -> Frames:
        """Reads the frames of one life of a connection."""

    def token_of(self, token_id: str) -> str:
        """The venue's name of a token of ours."""

    def token_id(self, token: str) -> str:
        """Our name of the venue's token."""


class Sockets(Speech, Protocol):
    """How a venue's WebSocket is spoken to: `<venue>/sockets.py`.

    `capacity`: tokens on one connection. Keepalive is a text `ping` every so often, or None where the venue pings.
    """

    url: str
    capacity: int
    ping_every_s: float

    @property
    def ping(self) -> str | None:
        """Text that keeps a connection alive."""

    def headers(self) -> Mapping[str, str]:
        """Of the handshake, made anew for each."""

    def is_control(self, body: bytes) -> bool:
        """Whether a message is no data."""

    def opening(self, tokens: Sequence[str]) -> list[str]:
        """The first messages of a connection that is to show these tokens."""

    def subscribe(self, tokens: Sequence[str]) -> list[str]:
        """Messages that ask for more tokens, or the same from the start."""

    def unsubscribe(self, tokens: Sequence[str], subscription: int) -> list[str]:
        """Messages that ask for fewer, of the subscription that its `Frames` know."""

    def renew(self, tokens: Sequence[str], subscription: int) -> list[str]:
        """Messages that ask for the same tokens from the start."""


class Witnessing(Protocol):
    """How a second channel, which bears witness, is spoken to: `<venue>/sockets.py`. The venue pings.

    `capacity`: tokens on one connection.
    """

    url: str
    capacity: int

    def reader(self) -> Frames:
        """Reads the frames of one life of a connection."""

    def subscribe(self, tokens: Sequence[str]) -> str:
        """The message that asks for more tokens."""

    def unsubscribe(self, tokens: Sequence[str]) -> str:
        """The message that asks for fewer."""

    def rest_s(self, close_code: int | None) -> float:
        """How long to stay away after a connection's end; infinite: for good."""


@dataclass(frozen=True, slots=True)
class Streaming:
    """How a venue is streamed.

    `connections` at most; `places`: markets that can be subscribed singly on them; `audited`: so many of these are held
    against the venue's live books in 20 seconds, by what its limits allow. `witness`: a second channel that tells of
    the busiest by another way, on so many connections.
    """

    sockets: Sockets
    connections: int
    places: int
    audited: int
    witness: Witnessing | None = None
    witness_connections: int = 0


class PastReader(Protocol):
    """Reads what a venue tells of the time before now, live or from a tape: `<venue>/histories.py`. Pure."""

    def points(self, body: Any) -> Mapping[str, list[Any]] | None:
        """The points in an answer, by market as `Reader.hot_id` names it; None when it holds none."""

    def read(self, point: Any, shown: Shown) -> Earlier | None:
        """A point of a market that shows this now; None when it has no price. Raises BadMessageError."""


class Histories(Protocol):
    """Asks for the time before now."""

    reader: PastReader

    @property
    def batch(self) -> int:
        """Markets in one question."""

    def ask(
        self, ids: Sequence[str], since_us: int, until_us: int, errand: Errand
    ) -> AsyncIterator[tuple[Received, Mapping[str, list[Any]]]]:
        """Answers, and the points in them, of markets named as `Reader.hot_id` names them. Raises as `Feed` does."""


TradedSince = Callable[[int, Errand], Awaitable[tuple[list[str], int]]]
"""Which markets have traded since an instant, by their names for `Feed.hot`; and the instant of the newest trade."""


@dataclass(frozen=True, slots=True)
class Collector:
    """A venue put together. Without `streaming` it is polled only; `traded_since` may then say what has moved.

    Without `histories` the time before a start is told by what the rows say themselves.
    """

    venue: str
    feed: Feed
    reader: Reader
    streaming: Streaming | None = None
    traded_since: TradedSince | None = None
    histories: Histories | None = None


@dataclass(frozen=True, slots=True)
class Venue:
    """What a venue brings: its group of settings, how its rows, frames and histories are read, and how it is put
    together. `category_of`: our category by what a market is filed under, names of categories or slugs of tags.

    The parts of one division share the venue's pace; so must those who divide it by category.
    """

    settings: type[Group]
    reader: Callable[[], Reader]
    collector: Callable[[Settings, Shard, Witness, Clock], Collector]
    speech: Callable[[], Speech] | None = None
    past: Callable[[], PastReader] | None = None
    category_of: Callable[[Iterable[str]], Category] | None = None
