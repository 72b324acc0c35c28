"""Polymarket's Gamma and CLOB over HTTP, as far as market data goes (as documented, checked 2026-11-22)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import orjson
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from schemas.units import PPM, US_PER_S
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
    serve_last_page,
    values,
)
from simulator.player import Player
from simulator.polymarket.rows import (
    GammaRows,
    book_row,
    decimal,
    is_closed,
    liquidity_usd,
    tag_rows,
)
from simulator.world import MarketState

MAX_FILTER_VALUES: Final = 100
MAX_TOKENS: Final = 500
MAX_HISTORIES: Final = 20
SPANS_S: Final = {"1h": 3_600, "6h": 21_600, "1d": 86_400, "1w": 604_800, "1m": 2_592_000}
MAX_OFFSET: Final = 2_000  # reports of mid 2026 name 2,000 to 2,500
Event = list[MarketState]

# `volume` and `liquidity` are text columns and sort as text; the *Num ones sort as numbers.
MARKET_ORDERS: Final[dict[str, Callable[[MarketState], Any]]] = {
    "volumeNum": lambda s: s.volume,
    "volume24hr": lambda s: s.volume_24h,
    "volume": lambda s: repr(round(s.volume, 6)),
    "liquidityNum": liquidity_usd,
    "liquidity": lambda s: repr(liquidity_usd(s)),
    "endDate": lambda s: s.market.closes_us or 0,
    "startDate": lambda s: s.listed_us,
}
EVENT_ORDERS: Final[dict[str, Callable[[Event], Any]]] = {
    "volume": lambda e: sum(s.volume for s in e),
    "volume24hr": lambda e: sum(s.volume_24h for s in e),
    "volume_24hr": lambda e: sum(s.volume_24h for s in e),
    "liquidity": lambda e: sum(liquidity_usd(s) for s in e),
    "endDate": lambda e: e[0].market.closes_us or 0,
    "end_date": lambda e: e[0].market.closes_us or 0,
    "startDate": lambda e: e[0].listed_us,
    "start_date": lambda e: e[0].listed_us,
}


def refused(text: str, status: int = 422) -> Response:
    """Gamma's error body."""
    return answer({"type": "validation error", "error": text}, status)


class PolymarketApi:
    """Routes of Gamma and CLOB over one player."""

    def __init__(self, player: Player) -> None:
        self._player = player
        self._world = player.world
        self._rows = GammaRows(player.world)
        self._markets = Listing(player.world.listed, lambda s: (int(s.market.market_id), s.number))
        self._events = Listing(player.world.listed_events, lambda e: (int(e[0].market.event_id), e[0].number))

    def gamma_routes(self) -> list[Route]:
        """Paths under Gamma's base address."""
        return [
            Route("/markets/keyset", self.markets_keyset),
            Route("/events/keyset", self.events_keyset),
            Route("/markets", self.markets),
            Route("/events", self.events),
            Route("/markets/slug/{slug}", self.market),
            Route("/markets/{id}", self.market),
            Route("/events/slug/{slug}", self.event),
            Route("/events/{id}", self.event),
            Route("/tags", self.tags),
            Route("/status", self.status),
        ]

    def clob_routes(self) -> list[Route]:
        """Paths under CLOB's base address."""
        return [
            Route("/book", self.book),
            Route("/books", self.books, methods=["POST"]),
            Route("/price", self.price),
            Route("/prices", self.prices, methods=["POST"]),
            Route("/midpoint", self.midpoint),
            Route("/midpoints", self.midpoints, methods=["POST"]),
            Route("/spread", self.spread),
            Route("/spreads", self.spreads, methods=["POST"]),
            Route("/last-trade-price", self.last_trade_price),
            Route("/last-trades-prices", self.last_trades_prices, methods=["POST"]),
            Route("/prices-history", self.prices_history),
            Route("/batch-prices-history", self.batch_prices_history, methods=["POST"]),
            Route("/time", self.time),
        ]

    # ── Gamma ────────────────────────────────────────────────────────────────────────────────────────────────────────

    async def markets_keyset(self, request: Request) -> Response:
        """`GET /markets/keyset`: at most 100 a page. A listing of open markets to its end is a price sweep."""
        is_sweep = flag(request, "closed") is not True and not _names_markets(request)
        if is_sweep and "after_cursor" not in request.query_params:
            begin_sweep(request, self._player)
        wanted = self._wanted_markets(request)
        if isinstance(wanted, Response):
            return wanted
        include_tag = bool(flag(request, "include_tag"))
        return self._keyset(
            request,
            "markets",
            wanted,
            self._markets,
            MARKET_ORDERS,
            lambda s: self._rows.market(s, include_tag=include_tag),
            most=100,
            is_sweep=is_sweep,
        )

    async def events_keyset(self, request: Request) -> Response:
        """`GET /events/keyset`: at most 500 a page, markets and tags inside."""
        wanted = self._wanted_events(request)
        return self._keyset(request, "events", wanted, self._events, EVENT_ORDERS, self._rows.event, most=500)

    def _keyset(
        self,
        request: Request,
        name: str,
        wanted: Wanted[Any],
        listing: Listing[Any],
        orders: dict[str, Callable[[Any], Any]],
        render: Callable[[Any], bytes],
        *,
        most: int,
        is_sweep: bool = False,
    ) -> Response:
        """`after_cursor` alone moves the page on: `cursor` and `next_cursor` are ignored, `offset` is refused."""
        if "offset" in request.query_params:
            return refused("offset is not supported on keyset endpoints, use after_cursor")
        order = request.query_params.get("order", "volume24hr")
        if order != "id" and order not in orders:
            return refused("order fields are not valid")
        moment_us, cursor = self._player.now_us(), None
        query = fingerprint(request, without=("after_cursor", "cursor", "next_cursor", "limit"))
        try:
            limit = limit_of(request, 20, most)
            if text := request.query_params.get("after_cursor"):
                cursor = Cursor.decode(text, query)
        except CursorError as error:
            return refused(str(error))
        except ValueError:
            return refused("limit is not valid")

        descending = not flag(request, "ascending")
        if order == "id":
            page, more = listing.page(wanted, cursor, limit, descending=descending)
        else:
            page, more = listing.page_by(orders[order], wanted, cursor, limit, descending=descending)
        began_us = cursor.moment_us if cursor else moment_us
        body = b'{"' + name.encode() + b'":[' + b",".join(render(row) for row in page) + b"]"
        if more is not None:
            return answer(body + b',"next_cursor":"' + Cursor(query, more, began_us).encode().encode() + b'"}')
        last = answer(body + b"}")
        return serve_last_page(last, request, self._player, began_us) if is_sweep else last

    async def markets(self, request: Request) -> Response:
        """`GET /markets`, the legacy way: offset, limit silently cut to 100."""
        wanted = self._wanted_markets(request)
        if isinstance(wanted, Response):
            return wanted
        orders = MARKET_ORDERS | {"id": lambda s: int(s.market.market_id)}
        return self._offset(request, wanted.of(self._world.listed), orders, self._rows.market)

    async def events(self, request: Request) -> Response:
        """`GET /events`, the legacy way."""
        rows = self._wanted_events(request).of(self._world.listed_events)
        orders = EVENT_ORDERS | {"id": lambda e: int(e[0].market.event_id)}
        return self._offset(request, rows, orders, self._rows.event)

    def _offset(
        self,
        request: Request,
        rows: list[Any],
        orders: dict[str, Callable[[Any], Any]],
        render: Callable[[Any], bytes],
    ) -> Response:
        order = orders.get(request.query_params.get("order", "id"))
        try:
            limit, offset = limit_of(request, 20, 100), int(request.query_params.get("offset", 0))
        except ValueError:
            return refused("limit or offset is not valid")
        if order is None:
            return refused("order fields are not valid")
        if not 0 <= offset <= MAX_OFFSET:
            return refused(f"offset too large, use {request.url.path}/keyset")
        rows = sorted(rows, key=order, reverse=flag(request, "ascending") is False)
        return answer(b"[" + b",".join(render(row) for row in rows[offset : offset + limit]) + b"]")

    async def market(self, request: Request) -> Response:
        """One market by Gamma id or slug."""
        wanted, by_slug = request.path_params.get("id"), request.path_params.get("slug")
        for state in self._world.states.values():
            row = self._rows.market(state) if by_slug or state.market.market_id == wanted else b""
            if row and (by_slug is None or orjson.loads(row)["slug"] == by_slug):
                return answer(row)
        return answer({"type": "not found error", "error": "id not found"}, 404)

    async def event(self, request: Request) -> Response:
        """One event by Gamma id or slug."""
        for slug, states in self._world.events.items():
            if request.path_params.get("slug") == slug or request.path_params.get("id") == states[0].market.event_id:
                return answer(self._rows.event(states))
        return answer({"type": "not found error", "error": "id not found"}, 404)

    async def tags(self, request: Request) -> Response:
        """All tags in use, at most 100 a page."""
        names = sorted({tag for states in self._world.events.values() for tag in states[0].market.tags})
        try:
            limit, offset = limit_of(request, 100, 100), int(request.query_params.get("offset", 0))
        except ValueError:
            return refused("limit or offset is not valid")
        return answer(list(tag_rows(tuple(names[offset : offset + limit]))))

    async def status(self, _: Request) -> Response:
        """Gamma's health."""
        return answer({"status": "ok"})

    def _wanted_markets(self, request: Request) -> Wanted[MarketState] | Response:
        keeps: list[Callable[[MarketState], bool]] = []
        if (closed := flag(request, "closed")) is not None:
            keeps.append(lambda s: (s.phase == "settled") == closed)
        if flag(request, "active") is False:
            keeps.append(lambda _: False)
        if slugs := set(values(request, "slug")):
            keeps.append(lambda s: orjson.loads(self._rows.nested(s))["slug"] in slugs)
        asked = {name: set(values(request, name)) for name in ("id", "condition_ids", "clob_token_ids")}
        for name, wanted in asked.items():
            if len(wanted) > MAX_FILTER_VALUES:
                return refused(f"{name} has more than {MAX_FILTER_VALUES} values")
        if ids := asked["id"]:
            keeps.append(lambda s: s.market.market_id in ids)
        world = self._world
        named = None
        if conditions := asked["condition_ids"]:
            keeps.append(lambda s: s.market.market in conditions)
            named = [world.states[condition] for condition in conditions if condition in world.states]
        if tokens := asked["clob_token_ids"]:
            keeps.append(lambda s: not tokens.isdisjoint(s.market.tokens))
            found = (world.by_token[token][0] for token in tokens if token in world.by_token)
            named = list({state.number: state for state in found}.values())
        return Wanted(lambda state: all(keep(state) for keep in keeps), named)

    def _wanted_events(self, request: Request) -> Wanted[Event]:
        keeps: list[Callable[[Event], bool]] = []
        if (closed := flag(request, "closed")) is not None:
            keeps.append(lambda e: is_closed(e) == closed)
        if wanted := set(values(request, "id")):
            keeps.append(lambda e: e[0].market.event_id in wanted)
        if slugs := set(values(request, "slug")):
            keeps.append(lambda e: e[0].market.event in slugs)
        if tags := set(values(request, "tag_slug")):
            keeps.append(lambda e: not tags.isdisjoint(row["slug"] for row in tag_rows(e[0].market.tags)))
        return Wanted(lambda event: all(keep(event) for keep in keeps))

    # ── CLOB ─────────────────────────────────────────────────────────────────────────────────────────────────────────

    def _live(self, token: object) -> tuple[MarketState, int] | None:
        """The market and outcome of a token that still has a book."""
        found = self._world.by_token.get(token) if isinstance(token, str) else None
        return None if found is None or found[0].phase == "settled" else found

    async def book(self, request: Request) -> Response:
        """`GET /book?token_id=`."""
        found = self._live(request.query_params.get("token_id"))
        return _no_book() if found is None else answer(book_row(*found))

    async def books(self, request: Request) -> Response:
        """`POST /books`: unknown and settled tokens are left out."""
        found = await self._batch(request)
        return found if isinstance(found, Response) else answer([book_row(*live) for live, _ in found])

    async def _batch(self, request: Request) -> Response | list[tuple[tuple[MarketState, int], dict[str, Any]]]:
        try:
            items = orjson.loads(await request.body())
            if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
                raise ValueError
        except ValueError:
            return answer({"error": "Invalid payload"}, 400)
        if len(items) > MAX_TOKENS:
            return answer({"error": "Payload exceeds the limit"}, 400)
        found = [(self._live(item.get("token_id")), item) for item in items]
        return [(live, item) for live, item in found if live is not None]

    async def price(self, request: Request) -> Response:
        """`GET /price?token_id=&side=`: BUY gives the best bid, SELL the best ask (the API reference's reading)."""
        found = self._live(request.query_params.get("token_id"))
        best = None if found is None else _best(*found)[request.query_params.get("side", "BUY").upper() == "SELL"]
        return _no_book() if best is None else answer({"price": decimal(best)})

    async def prices(self, request: Request) -> Response:
        """`POST /prices`."""
        found = await self._batch(request)
        if isinstance(found, Response):
            return found
        body: dict[str, dict[str, str]] = {}
        for (state, index), item in found:
            side = str(item.get("side", "BUY")).upper()
            best = _best(state, index)[side == "SELL"]
            if best is not None:
                body.setdefault(state.market.tokens[index], {})[side] = decimal(best)
        return answer(body)

    async def midpoint(self, request: Request) -> Response:
        """`GET /midpoint`."""
        found = self._live(request.query_params.get("token_id"))
        mid = None if found is None else _mid(*found)
        return _no_book() if mid is None else answer({"mid": decimal(mid)})

    async def midpoints(self, request: Request) -> Response:
        """`POST /midpoints`."""
        found = await self._batch(request)
        if isinstance(found, Response):
            return found
        mids = {state.market.tokens[index]: _mid(state, index) for (state, index), _ in found}
        return answer({token: decimal(mid) for token, mid in mids.items() if mid is not None})

    async def spread(self, request: Request) -> Response:
        """`GET /spread`."""
        found = self._live(request.query_params.get("token_id"))
        spread = None if found is None else found[0].spread_ppm
        return _no_book() if spread is None else answer({"spread": decimal(spread)})

    async def spreads(self, request: Request) -> Response:
        """`POST /spreads`."""
        found = await self._batch(request)
        if isinstance(found, Response):
            return found
        spreads = {state.market.tokens[index]: state.spread_ppm for (state, index), _ in found}
        return answer({token: decimal(spread) for token, spread in spreads.items() if spread is not None})

    async def last_trade_price(self, request: Request) -> Response:
        """`GET /last-trade-price`: side "" when the token was never traded."""
        found = self._live(request.query_params.get("token_id"))
        if found is None:
            return _no_book()
        last = _last(*found)
        return answer({"price": "0.5", "side": ""} if last is None else {"price": decimal(last), "side": "BUY"})

    async def last_trades_prices(self, request: Request) -> Response:
        """`POST /last-trades-prices`: tokens without trades are left out."""
        found = await self._batch(request)
        if isinstance(found, Response):
            return found
        lasts = {state.market.tokens[index]: _last(state, index) for (state, index), _ in found}
        return answer(
            [{"token_id": t, "price": decimal(last), "side": "BUY"} for t, last in lasts.items() if last is not None]
        )

    async def prices_history(self, request: Request) -> Response:
        """`GET /prices-history?market=<token id>`: what the tape has played, a point a minute at most."""
        now_s = self._player.now_us() // US_PER_S
        try:
            span_s = SPANS_S.get(request.query_params.get("interval", "max"), now_s)
            start_s = int(request.query_params.get("startTs", now_s - span_s))
            end_s = int(request.query_params.get("endTs", now_s))
            step_s = max(1, int(request.query_params.get("fidelity", 1))) * 60
        except ValueError:
            return answer({"error": "invalid filters"}, 400)
        return answer({"history": self._history(request.query_params.get("market", ""), start_s, end_s, step_s)})

    async def batch_prices_history(self, request: Request) -> Response:
        """`POST /batch-prices-history`: the same for up to 20 tokens; without a history a token has no points."""
        now_s = self._player.now_us() // US_PER_S
        try:
            asked = orjson.loads(await request.body())
            tokens = asked["markets"]
            start_s = int(asked.get("start_ts", now_s - SPANS_S.get(asked.get("interval", "max"), now_s)))
            end_s, step_s = int(asked.get("end_ts", now_s)), max(1, int(asked.get("fidelity", 1))) * 60
        except (ValueError, TypeError, KeyError, AttributeError):
            return answer({"error": "Invalid payload"}, 400)
        if not isinstance(tokens, list) or not 0 < len(tokens) <= MAX_HISTORIES:
            return answer({"error": f"markets must name 1 to {MAX_HISTORIES} tokens"}, 400)
        return answer({"history": {str(token): self._history(str(token), start_s, end_s, step_s) for token in tokens}})

    def _history(self, token: str, start_s: int, end_s: int, step_s: int) -> list[dict[str, float]]:
        found = self._world.by_token.get(token)
        if found is None:
            return []
        state, index = found
        points = state.history(start_s * US_PER_S, end_s * US_PER_S, step_s * US_PER_S)
        return [{"t": at_us // US_PER_S, "p": (ppm if index == 0 else PPM - ppm) / PPM} for at_us, ppm in points]

    async def time(self, _: Request) -> Response:
        """The venue's clock, whole seconds, a bare number."""
        return answer(str(self._player.now_us() // US_PER_S).encode())


def _names_markets(request: Request) -> bool:
    return any(request.query_params.get(name) for name in ("id", "slug", "condition_ids", "clob_token_ids", "tag_id"))


def _no_book() -> Response:
    return answer({"error": "No orderbook exists for the requested token id"}, 404)


def _best(state: MarketState, index: int) -> tuple[int | None, int | None]:
    bid, ask = state.bid_ppm, state.ask_ppm
    if index == 0:
        return bid, ask
    return (None if ask is None else PPM - ask), (None if bid is None else PPM - bid)


def _mid(state: MarketState, index: int) -> int | None:
    bid, ask = _best(state, index)
    return None if bid is None or ask is None else (bid + ask) // 2


def _last(state: MarketState, index: int) -> int | None:
    last = state.last_ppm
    return last if last is None or index == 0 else PPM - last
