"""The state of one simulated venue at one instant of the tape: each market's quote, phase, book and played history."""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Final
from zlib import crc32

from schemas.units import PPM, US_PER_S
from simulator import ids
from simulator.past import past_ppm
from simulator.tape import Close, Line, Market, Quote, Settle, Trade

DAY_US: Final = 86_400 * US_PER_S
WIDE_PPM: Final = 100_000  # a spread over 0.10 shows no mid, on Polymarket's site and here
BOOK_DEPTH: Final = 6  # levels on each side of a simulated book
HISTORY_STEP_US: Final = 60 * US_PER_S
HISTORY_LENGTH: Final = 4_000  # over a day, also after the oldest quarter went

Levels = dict[int, int]
"""Price in ppm → size in hundredths of a contract."""

Top = tuple[int | None, int | None, int | None, int | None]
"""Best bid and ask in ppm, and their sizes in hundredths of a contract."""

NO_TOP: Final[Top] = (None, None, None, None)


@dataclass(slots=True, eq=False)
class MarketState:
    """One market now. Prices are of outcome 0, in ppm; None is an empty side, or never traded."""

    market: Market
    number: int  # order of listing
    listed_us: int
    phase: str = "open"  # open, closed (trading over), settled
    winner: int | None = None
    bid_ppm: int | None = None
    ask_ppm: int | None = None
    last_ppm: int | None = None
    bid_centi: int | None = None
    ask_centi: int | None = None
    volume: float = 0.0
    volume_24h: float = 0.0
    changed_us: int = 0
    ended_us: int | None = None  # trading ended
    settled_us: int | None = None
    history_us: array[int] = field(default_factory=lambda: array("q"))  # played prices, a minute or more apart
    history_ppm: array[int] = field(default_factory=lambda: array("l"))
    past_from_us: int | None = None  # from here to the first played price, prices are made up
    rendered: dict[str, bytes] = field(default_factory=dict)  # an API's rows, dropped at each change

    @property
    def tick_ppm(self) -> int:
        """Step of the market's price grid."""
        return round(self.market.tick * PPM)

    @property
    def spread_ppm(self) -> int | None:
        """Ask less bid, or None when a side is empty."""
        return None if self.bid_ppm is None or self.ask_ppm is None else self.ask_ppm - self.bid_ppm

    def price_ppm(self) -> int | None:
        """The shown price: the result once settled, the mid of a book not too wide, else the last trade."""
        if self.phase == "settled":
            return PPM if self.winner == 0 else 0
        if self.bid_ppm is not None and self.ask_ppm is not None and self.ask_ppm - self.bid_ppm <= WIDE_PPM:
            return (self.bid_ppm + self.ask_ppm) // 2
        return self.last_ppm

    def price_at(self, at_us: int) -> int | None:
        """The shown price at an instant in the past, or None where its history does not reach back so far."""
        if place := bisect_right(self.history_us, at_us):
            return self.history_ppm[place - 1]
        if self.past_from_us is None or at_us < self.past_from_us or not self.history_us:
            return None
        return past_ppm(self.market.market, self.history_ppm[0], self.history_us[0], at_us, self.tick_ppm)

    def history(self, from_us: int, to_us: int, step_us: int) -> Iterator[tuple[int, int]]:
        """(instant, price) of a time, so far apart at least."""
        if self.past_from_us is not None and self.history_us:
            for at_us in range(max(from_us, self.past_from_us), min(to_us + 1, self.history_us[0]), step_us):
                if (price := self.price_at(at_us)) is not None:
                    yield at_us, price
        last_us = None
        for at_us, price in zip(self.history_us, self.history_ppm, strict=True):
            if from_us <= at_us <= to_us and (last_us is None or at_us - last_us >= step_us):
                last_us = at_us
                yield at_us, price

    def remember(self, ts_us: int) -> None:
        """Adds the shown price to the history, at most once a minute; the oldest go when there are too many."""
        price, history_us = self.price_ppm(), self.history_us
        if price is None or (history_us and ts_us - history_us[-1] < HISTORY_STEP_US):
            return
        history_us.append(ts_us)
        self.history_ppm.append(price)
        if len(history_us) > HISTORY_LENGTH:
            del history_us[: HISTORY_LENGTH // 4], self.history_ppm[: HISTORY_LENGTH // 4]

    def book(self) -> tuple[Levels, Levels]:
        """Bids and asks of outcome 0. Deep levels are made up, the same at the same price, so that they stay put."""
        return self.book_of((self.bid_ppm, self.ask_ppm, self.bid_centi, self.ask_centi))

    def book_of(self, top: Top) -> tuple[Levels, Levels]:
        """The same with other best levels."""
        bid_ppm, ask_ppm, bid_centi, ask_centi = top
        return self._ladder(bid_ppm, -self.tick_ppm, bid_centi), self._ladder(ask_ppm, self.tick_ppm, ask_centi)

    def _ladder(self, best: int | None, step: int, best_centi: int | None) -> Levels:
        if best is None:
            return {}
        prices = [best + step * depth for depth in range(BOOK_DEPTH)]
        levels = {price: _resting_centi(self.market.market, price) for price in prices if 0 < price < PPM}
        if best_centi is not None and best in levels:
            levels[best] = best_centi
        return levels


def _resting_centi(market: str, price_ppm: int) -> int:
    noise = crc32(f"{market}@{price_ppm}".encode())
    return 500 + (noise % 9_973) * (1 + (noise >> 16) % 40)


@dataclass
class Change:
    """What one tape line did, for the streams."""

    line: Line
    state: MarketState
    before: Top
    listed: bool  # the market appeared with this line

    @cached_property
    def book_before(self) -> tuple[Levels, Levels]:
        """Bids and asks before it. Made when somebody asks: most changes concern nobody who listens."""
        return self.state.book_of(self.before)

    @property
    def bids(self) -> Levels:
        """Bids before it."""
        return self.book_before[0]

    @property
    def asks(self) -> Levels:
        """Asks before it."""
        return self.book_before[1]


@dataclass(slots=True)
class TradeRecord:
    """A trade as the venue keeps it."""

    ts_us: int
    market: str
    trade: Trade
    number: int


class World:
    """One venue. `apply` plays a line; `listeners` hear of each change.

    With `past_from_us` markets that were opened before they were listed here have had prices since then.
    """

    def __init__(self, past_from_us: int | None = None) -> None:
        self._past_from_us = past_from_us
        self.states: dict[str, MarketState] = {}
        self.events: dict[str, list[MarketState]] = {}
        self.listed: list[MarketState] = []
        self.listed_events: list[list[MarketState]] = []
        self.by_token: dict[str, tuple[MarketState, int]] = {}
        self.trades: deque[TradeRecord] = deque(maxlen=20_000)
        self.listeners: list[Callable[[Change], None]] = []
        self.version = 0  # grows with each change
        self._unlisted: dict[str, Market] = {}
        self._trade_count = 0
        self._open = 0

    def open_count(self) -> int:
        """Markets whose trading has not ended."""
        return self._open

    def knows(self, market: str) -> bool:
        """Whether a market is listed, or will be with its first quote."""
        return market in self.states or market in self._unlisted

    def event_of(self, state: MarketState) -> list[MarketState]:
        """All listed markets of the market's event."""
        return self.events[state.market.event]

    def apply(self, line: Line) -> None:
        """Plays one line. Lines of markets that have settled are ignored, as a venue would."""
        self.version += 1
        if isinstance(line, Market):
            line = _completed(line)
            self._unlisted[line.market] = line
            if line.ts_us is not None:
                self._list(line, line.ts_us)
            return
        state, listed = self.states.get(line.market), False
        if state is None:
            state, listed = self._list(self._unlisted[line.market], line.ts_us, announce=False), True
        if state.phase == "settled":
            return
        before = (state.bid_ppm, state.ask_ppm, state.bid_centi, state.ask_centi)
        self._change(state, line)
        for state_of_event in self.event_of(state) if not isinstance(line, Quote) else (state,):
            state_of_event.rendered.clear()
        for listener in self.listeners:
            listener(Change(line, state, before, listed))

    def _list(self, market: Market, ts_us: int, *, announce: bool = True) -> MarketState:
        state = MarketState(market, len(self.states), ts_us, changed_us=ts_us)
        if self._past_from_us is not None and market.opened_us is not None:
            state.past_from_us = max(self._past_from_us, market.opened_us)
        self.states[market.market] = state
        self.listed.append(state)
        self._open += 1
        event = self.events.get(market.event)
        if event is None:
            event = self.events[market.event] = []
            self.listed_events.append(event)
        event.append(state)
        for index, token in enumerate(market.tokens):
            self.by_token[token] = (state, index)
        if announce:
            for listener in self.listeners:
                listener(Change(market, state, NO_TOP, listed=True))
        return state

    def _change(self, state: MarketState, line: Quote | Close | Settle) -> None:
        state.changed_us = line.ts_us
        if isinstance(line, Quote):
            self._quote(state, line)
            return
        state.bid_ppm = state.ask_ppm = None
        state.ended_us = state.ended_us or line.ts_us
        self._open -= state.phase == "open"
        if isinstance(line, Settle):
            state.phase, state.winner, state.settled_us = "settled", line.winner, line.ts_us
        else:
            state.phase = "closed"

    def _quote(self, state: MarketState, quote: Quote) -> None:
        state.bid_ppm, state.ask_ppm = quote.bid_ppm, quote.ask_ppm
        state.bid_centi, state.ask_centi = quote.bid_centi, quote.ask_centi
        if quote.last_ppm is not None:
            state.last_ppm = quote.last_ppm
        if quote.volume is not None:
            state.volume = quote.volume
        if quote.volume_24h is not None:
            state.volume_24h = quote.volume_24h
        if quote.trade is not None:
            self._trade_count += 1
            self.trades.append(TradeRecord(quote.ts_us, quote.market, quote.trade, self._trade_count))
        state.remember(quote.ts_us)


def _completed(market: Market) -> Market:
    """The market with everything a venue always gives, made up from its name where the tape is silent."""
    event = market.event or (market.market.rpartition("-")[0] if market.venue == "kalshi" else ids.slug(market.title))
    event = event or market.market
    return replace(
        market,
        event=event,
        event_title=market.event_title or market.title,
        series=market.series or (event.partition("-")[0] if market.venue == "kalshi" else ""),
        tokens=market.tokens or ids.token_ids(market.market),
        market_id=market.market_id or ids.gamma_id(market.market),
        event_id=market.event_id or ids.gamma_id(event, digits=6),
    )
