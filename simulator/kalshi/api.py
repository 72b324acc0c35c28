"""Kalshi's public REST API, as far as market data goes (as documented, checked 2026-11-22)."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from schemas.units import PPM, US_PER_S
from simulator import ids
from simulator.kalshi.rows import (
    KalshiRows,
    combo_row,
    count_centi,
    dollars,
    iso,
    orderbook,
    series_row,
)
from simulator.paging import (
    Cursor,
    CursorError,
    Listing,
    Wanted,
    answer,
    begin_sweep,
    fingerprint,
    flag,
    limit_of,
    page_of,
    serve_last_page,
    values,
)
from simulator.player import Player
from simulator.world import MarketState, TradeRecord

PHASE_OF_FILTER: Final = {"open": "open", "closed": "closed", "settled": "settled", "unopened": "", "paused": ""}
COMBOS: Final = 12
MAX_BOOKS: Final = 100
MAX_CANDLES: Final = 10_000
CANDLE_SIDES: Final = ("open_dollars", "high_dollars", "low_dollars", "close_dollars")
CANDLE_PRICES: Final = (*CANDLE_SIDES, "mean_dollars")
Event = list[MarketState]


def refused(status: int, code: str, message: str, details: str = "") -> Response:
    """Kalshi's error body, as seen in Aug 2026."""
    error = {"code": code, "message": message}
    return answer({"error": error | ({"details": details} if details else {})}, status)


def bad_request(details: str) -> Response:
    """A 400."""
    return refused(400, "bad_request", "bad request", details)


def not_found() -> Response:
    """A 404."""
    return refused(404, "not_found", "not found")


class KalshiApi:
    """Routes under `/trade-api/v2` over one player."""

    def __init__(self, player: Player) -> None:
        self._player = player
        self._world = player.world
        self._rows = KalshiRows(player.world)
        self._markets = Listing(player.world.listed, lambda s: ("", s.number))
        self._events = Listing(player.world.listed_events, lambda e: ("", e[0].number))

    def routes(self) -> list[Route]:
        """Paths under the API's base address."""
        return [
            Route("/series", self.series_list),
            Route("/series/{series}", self.series),
            Route("/events", self.events),
            Route("/events/{event}", self.event),
            Route("/markets", self.markets),
            Route("/markets/trades", self.trades),
            Route("/markets/orderbooks", self.orderbooks),
            Route("/markets/candlesticks", self.candlesticks),
            Route("/markets/{ticker}", self.market),
            Route("/markets/{ticker}/orderbook", self.orderbook),
            Route("/exchange/status", self.exchange_status),
            Route("/exchange/schedule", self.exchange_schedule),
        ]

    async def series_list(self, request: Request) -> Response:
        """`GET /series`: all in one answer, `category` exact."""
        rows = [series_row(states) for states in self._by_series().values()]
        if category := request.query_params.get("category"):
            rows = [row for row in rows if row["category"] == category]
        return answer({"series": rows})

    async def series(self, request: Request) -> Response:
        """`GET /series/{ticker}`."""
        states = self._by_series().get(request.path_params["series"])
        return not_found() if states is None else answer({"series": series_row(states)})

    def _by_series(self) -> dict[str, list[MarketState]]:
        found: dict[str, list[MarketState]] = {}
        for states in self._world.events.values():
            found.setdefault(states[0].market.series, []).extend(states)
        return found

    async def events(self, request: Request) -> Response:
        """`GET /events`: an event matches a status when any of its markets does, so nested ones come mixed."""
        keeps: list[Callable[[Event], bool]] = []
        if (status := request.query_params.get("status")) is not None:
            if status not in PHASE_OF_FILTER:
                return bad_request("invalid status filter")
            phase = PHASE_OF_FILTER[status]
            keeps.append(lambda e: any(s.phase == phase for s in e))
        if series := request.query_params.get("series_ticker"):
            keeps.append(lambda e: e[0].market.series == series)
        if tickers := set(values(request, "tickers")):
            keeps.append(lambda e: e[0].market.event in tickers)
        nested = bool(flag(request, "with_nested_markets"))
        wanted: Wanted[Event] = Wanted(lambda event: all(keep(event) for keep in keeps))
        page = self._page(request, partial(self._events.page, wanted), 200, 200)
        if isinstance(page, Response):
            return page
        rows, cursor, _ = page
        body = b",".join(self._rows.event(states, nested=nested) for states in rows)
        return answer(b'{"cursor":"' + cursor.encode() + b'","events":[' + body + b'],"milestones":[]}')

    async def event(self, request: Request) -> Response:
        """`GET /events/{ticker}`: markets beside the event, or inside it when asked."""
        states = self._world.events.get(request.path_params["event"])
        if states is None:
            return not_found()
        if flag(request, "with_nested_markets"):
            return answer(b'{"event":' + self._rows.event(states, nested=True) + b"}")
        markets = b",".join(self._rows.market(state) for state in states)
        return answer(b'{"event":' + self._rows.event(states, nested=False) + b',"markets":[' + markets + b"]}")

    async def markets(self, request: Request) -> Response:
        """`GET /markets`: at most 1,000 a page. A listing of all open markets to its end is a price sweep."""
        status = request.query_params.get("status")
        if status is not None and status not in PHASE_OF_FILTER:
            return bad_request("invalid status filter")
        mve = request.query_params.get("mve_filter")
        if mve not in (None, "only", "exclude"):
            return bad_request("invalid mve_filter")
        named = any(request.query_params.get(name) for name in ("tickers", "event_ticker", "series_ticker"))
        first = not request.query_params.get("cursor")
        is_sweep = status == "open" and not named and mve != "only"
        if is_sweep and first:
            begin_sweep(request, self._player)
        wanted = Wanted(lambda _: False) if mve == "only" else self._matching(request, status)
        page = self._page(request, partial(self._markets.page, wanted), 100, 1_000)
        if isinstance(page, Response):
            return page
        rows, cursor, began_us = page
        body = [self._rows.market(state) for state in rows]
        if first and mve != "exclude" and not named and status in (None, "open"):
            body = self._combos() + body
        last = answer(b'{"cursor":"' + cursor.encode() + b'","markets":[' + b",".join(body) + b"]}")
        return serve_last_page(last, request, self._player, began_us) if is_sweep and not cursor else last

    def _matching(self, request: Request, status: str | None) -> Wanted[MarketState]:
        known, named = self._world.states, None
        keeps: list[Callable[[MarketState], bool]] = []
        if status is not None:
            phase = PHASE_OF_FILTER[status]
            keeps.append(lambda s: s.phase == phase)
        if tickers := set(values(request, "tickers")):
            named = [known[ticker] for ticker in tickers if ticker in known]
        if event := request.query_params.get("event_ticker"):
            events = event.split(",")
            keeps.append(lambda s: s.market.event in events)
        if series := request.query_params.get("series_ticker"):
            keeps.append(lambda s: s.market.series == series)
        return Wanted(lambda state: all(keep(state) for keep in keeps), named)

    def _combos(self) -> list[bytes]:
        legs = itertools.islice((state for state in self._world.listed if state.phase == "open"), COMBOS + 1)
        return [combo_row(pair) for pair in itertools.pairwise(legs)]

    def _page(self, request: Request, page_after: Callable[[Cursor | None, int], Any], default: int, most: int) -> Any:
        """Rows of the page, the cursor after it ("" at the end), and the tape time at which the listing began."""
        query = fingerprint(request, without=("cursor", "limit"))
        cursor = None
        try:
            limit = limit_of(request, default, most)
            if text := request.query_params.get("cursor"):
                cursor = Cursor.decode(text, query)
        except CursorError as error:
            return bad_request(str(error))
        except ValueError:
            return bad_request("invalid limit")
        began_us = cursor.moment_us if cursor else self._player.now_us()
        page, more = page_after(cursor, limit)
        return page, "" if more is None else Cursor(query, more, began_us).encode(), began_us

    async def market(self, request: Request) -> Response:
        """`GET /markets/{ticker}`."""
        state = self._world.states.get(request.path_params["ticker"])
        return not_found() if state is None else answer(b'{"market":' + self._rows.market(state) + b"}")

    async def orderbook(self, request: Request) -> Response:
        """`GET /markets/{ticker}/orderbook`: an empty side is an empty list."""
        state = self._world.states.get(request.path_params["ticker"])
        return not_found() if state is None else answer({"orderbook_fp": orderbook(state)})

    async def orderbooks(self, request: Request) -> Response:
        """`GET /markets/orderbooks?tickers=…&tickers=…`: at most 100."""
        tickers = values(request, "tickers")
        if not 0 < len(tickers) <= MAX_BOOKS:
            return bad_request(f"tickers must name 1 to {MAX_BOOKS} markets")
        states = [self._world.states[ticker] for ticker in tickers if ticker in self._world.states]
        books = [{"ticker": state.market.market, "orderbook_fp": orderbook(state)} for state in states]
        return answer({"orderbooks": books})

    async def candlesticks(self, request: Request) -> Response:
        """`GET /markets/candlesticks`: at most 100 markets and 10,000 candles. Of what the tape has played, whose
        sides stand a tick beside the price; nobody trades in them."""
        tickers = values(request, "market_tickers")
        try:
            start_s, end_s = int(request.query_params["start_ts"]), int(request.query_params["end_ts"])
            step_s = int(request.query_params["period_interval"]) * 60
        except (KeyError, ValueError):
            return bad_request("start_ts, end_ts and period_interval are needed")
        if not 0 < len(tickers) <= MAX_BOOKS or step_s not in (60, 3_600, 86_400) or start_s > end_s:
            return bad_request(f"market_tickers must name 1 to {MAX_BOOKS} markets, period_interval be 1, 60 or 1440")
        if len(tickers) * ((end_s - start_s) // step_s) > MAX_CANDLES:
            return bad_request(f"more than {MAX_CANDLES} candles")
        first_s = -(-start_s // step_s) * step_s
        ends_s = list(range(first_s, end_s + 1, step_s))
        if flag(request, "include_latest_before_start") and first_s > start_s:
            ends_s = [start_s, *ends_s]
        states = [self._world.states[ticker] for ticker in tickers if ticker in self._world.states]
        rows = [{"market_ticker": s.market.market, "candlesticks": candles(s, ends_s)} for s in states]
        return answer({"markets": rows})

    async def trades(self, request: Request) -> Response:
        """`GET /markets/trades`: newest first, of all markets or one."""
        try:
            low_s = int(request.query_params.get("min_ts", 0))
            high_s = int(request.query_params.get("max_ts", 2**40))
        except ValueError:
            return bad_request("invalid min_ts or max_ts")
        newest_first = itertools.takewhile(lambda r: r.ts_us >= low_s * US_PER_S, reversed(self._world.trades))
        records = [r for r in newest_first if r.ts_us <= high_s * US_PER_S]
        if ticker := request.query_params.get("ticker"):
            records = [r for r in records if r.market == ticker]
        page = self._page(request, partial(page_of, records, lambda r: ("", -r.number)), 100, 1_000)
        if isinstance(page, Response):
            return page
        rows, cursor, _ = page
        return answer({"cursor": cursor, "trades": [trade_row(record) for record in rows]})

    async def exchange_status(self, _: Request) -> Response:
        """`GET /exchange/status`."""
        body = {"exchange_active": True, "trading_active": True, "exchange_estimated_resume_time": None}
        return answer(body)

    async def exchange_schedule(self, _: Request) -> Response:
        """`GET /exchange/schedule`: open round the clock but for Thursday 03:00 to 05:00 ET."""
        all_day = [{"open_time": "00:00", "close_time": "00:00"}]
        days = ("monday", "tuesday", "wednesday", "friday", "saturday", "sunday")
        thursday = [{"open_time": "00:00", "close_time": "03:00"}, {"open_time": "05:00", "close_time": "00:00"}]
        hours = dict.fromkeys(days, all_day) | {"thursday": thursday}
        span = {"start_time": "2024-12-01T00:00:00Z", "end_time": "2200-12-01T00:00:00Z"}
        return answer({"schedule": {"maintenance_windows": [], "standard_hours": [span | hours]}})


def candles(state: MarketState, ends_s: Iterable[int]) -> list[dict[str, Any]]:
    """Candles that end then, as of Aug 2026; none of before the market had a price."""
    found: list[dict[str, Any]] = []
    for end_s in ends_s:
        price = state.price_at(end_s * US_PER_S)
        if price is None:
            continue
        bid, ask = max(0, price - state.tick_ppm), min(PPM, price + state.tick_ppm)
        found.append(
            {
                "end_period_ts": end_s,
                "open_interest_fp": "0.00",
                "volume_fp": "0.00",
                "price": dict.fromkeys(CANDLE_PRICES) | {"previous_dollars": dollars(price)},
                "yes_bid": dict.fromkeys(CANDLE_SIDES, dollars(bid)),
                "yes_ask": dict.fromkeys(CANDLE_SIDES, dollars(ask)),
            }
        )
    return found


def trade_row(record: TradeRecord) -> dict[str, Any]:
    """A trade as of Jul 2026."""
    trade = record.trade
    outcome = "yes" if trade.side == "buy" else "no"
    return {
        "trade_id": ids.market_uuid(f"{record.market}#{record.number}"),
        "ticker": record.market,
        "count_fp": count_centi(trade.size_centi),
        "yes_price_dollars": dollars(trade.price_ppm),
        "no_price_dollars": dollars(PPM - trade.price_ppm),
        "taker_side": outcome,
        "taker_outcome_side": outcome,
        "taker_book_side": "bid" if trade.side == "buy" else "ask",
        "is_block_trade": False,
        "created_time": iso(record.ts_us),
    }
