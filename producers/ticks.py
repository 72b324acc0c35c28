"""What a venue showed of a market, and the one place where that becomes a Tick."""

from __future__ import annotations

from dataclasses import replace

from producers.quotes import Quote
from schemas.events import Tick
from schemas.frozen import dataclass
from schemas.units import event_id
from schemas.words import MarketStatus, TickFlag, TickSource, TimeBasis


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """When and how a page reached us; what all its ticks have in common.

    `as_of_us` is when its content was true, by the venue's clock as far as that can be believed
    (`producers.venue_clock`); `ts_venue_us` and `ts_sent_us` are what the venue itself says, believed or not;
    `ts_asked_us` is when a page was asked for, None for what a venue sends by itself.
    """

    as_of_us: int
    ts_received_us: int
    ts_asked_us: int | None = None
    ts_event_basis: TimeBasis
    source: TickSource
    heartbeat_s: int
    flags: tuple[TickFlag, ...] = ()
    ts_venue_us: int | None = None
    ts_sent_us: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """The price of a market's outcome 0 as one row or frame shows it. What it does not say is None.

    `ts_venue_us` is a stamp in the payload itself; REST rows have none that says when the quote was true.
    """

    market_id: str
    token_id: str
    quote: Quote
    market_status: MarketStatus
    volume_24h_usd: float | None = None
    volume_total_usd: float | None = None
    volume_total_contracts: float | None = None
    trades: int | None = None
    close_ts_us: int | None = None
    ts_venue_us: int | None = None

    @property
    def said(self) -> tuple[object, ...]:
        """What it says, for telling whether two say the same."""
        return (
            self.quote,
            self.market_status,
            self.volume_24h_usd,
            self.volume_total_usd,
            self.volume_total_contracts,
            self.trades,
            self.close_ts_us,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Earlier:
    """What a venue says that the price of a market was up to an instant, by its own clock."""

    ts_us: int
    quote: Quote


def promised_s(shown: Shown, moment: Moment) -> int:
    """What a tick promises. Only markets that trade are listed by every venue's sweep: one that is still to open,
    rests, or waits for its result is met by the crawls."""
    return moment.heartbeat_s if shown.market_status == "open" else 0


def earlier_tick(venue: str, shown: Shown, earlier: Earlier, moment: Moment) -> Tick:
    """The tick of a venue's figure: a price without volumes or promise, just before the instant it is told for.

    A process that was killed may have published a live tick of that very instant, which is a whole second as Dates are:
    its successor, which cannot know, must not give its figure the same identity.
    """
    then = Shown(
        market_id=shown.market_id,
        token_id=shown.token_id,
        quote=earlier.quote,
        market_status=shown.market_status,
        close_ts_us=shown.close_ts_us,
    )
    return tick_of(venue, then, replace(moment, source="backfill", heartbeat_s=0), earlier.ts_us - 1)


def tick_of(venue: str, shown: Shown, moment: Moment, ts_event_us: int, *, after_gap: bool = False) -> Tick:
    """The tick of what was shown, at the instant that `Tracked.admit` gave it."""
    quote = shown.quote
    flags = quote.flags + moment.flags
    return Tick(
        event_id=event_id(shown.market_id, ts_event_us),
        venue=venue,
        market_id=shown.market_id,
        token_id=shown.token_id,
        ts_event_us=ts_event_us,
        ts_received_us=moment.ts_received_us,
        ts_venue_us=moment.ts_venue_us if shown.ts_venue_us is None else shown.ts_venue_us,
        ts_sent_us=moment.ts_sent_us,
        ts_event_basis=moment.ts_event_basis,
        source=moment.source,
        bid_ppm=quote.bid_ppm,
        ask_ppm=quote.ask_ppm,
        last_ppm=quote.last_ppm,
        price_ppm=quote.price_ppm,
        price_basis=quote.price_basis,
        bid_size_contracts=quote.bid_size_contracts,
        ask_size_contracts=quote.ask_size_contracts,
        volume_24h_usd=shown.volume_24h_usd,
        volume_total_usd=shown.volume_total_usd,
        volume_total_contracts=shown.volume_total_contracts,
        trades=shown.trades,
        market_status=shown.market_status,
        close_ts_us=shown.close_ts_us,
        heartbeat_s=promised_s(shown, moment),
        flags=(*flags, "after_gap") if after_gap else flags,
    )
