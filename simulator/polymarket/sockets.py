"""Polymarket's market channel: opening books, price changes, trades, listings and results."""

from __future__ import annotations

from typing import Any, Final

import orjson
from starlette.websockets import WebSocket

from schemas.units import PPM
from simulator import ids
from simulator.paging import answer
from simulator.polymarket.rows import book_row, decimal, mirrored, size_text
from simulator.sessions import Endpoint, Session, Switchboard, changed_levels
from simulator.tape import Market, Quote, Settle, Trade
from simulator.world import Change, Levels, MarketState, World

NOT_IN_A_FRAME: Final = ("min_order_size", "neg_risk")  # keys of a REST book that the channel's book has not


class _Client(Session):
    slow = (1013, "slow consumer: send buffer full")

    def __init__(self, socket: WebSocket, board: Switchboard, world: World) -> None:
        super().__init__(socket, board)
        self._world = world
        self.tokens: set[str] = set()
        self.subscribed = False
        self.custom = False  # best_bid_ask, new_market and market_resolved are sent only when asked for

    @property
    def markets(self) -> set[str]:
        known = self._world.by_token
        return {known[token][0].market.market for token in self.tokens if token in known}


class PolymarketSocket(Endpoint[_Client]):
    """The endpoint."""

    async def serve(self, socket: WebSocket) -> None:
        """One connection, from handshake to end."""
        if status := self._board.refuses(socket.url.path):
            await socket.send_denial_response(answer({"error": "too many connections"}, status))
            return
        await socket.accept()
        client = _Client(socket, self._board, self._world)
        await self.attend(client, self._hear)

    # ── what a client says ───────────────────────────────────────────────────────────────────────────────────────────

    def _hear(self, client: _Client, text: str) -> None:
        if text == "PING":
            if client.subscribed:
                client.send(b"PONG")
            else:
                client.end(1008, "no subscription")
            return
        try:
            order = orjson.loads(text)
            tokens = [str(token) for token in order.get("assets_ids", [])]
        except (orjson.JSONDecodeError, AttributeError, TypeError):
            client.send(b"INVALID OPERATION")
            return
        if order.get("operation") == "unsubscribe":
            client.tokens.difference_update(tokens)
        elif order.get("operation") == "subscribe" or str(order.get("type", "")).lower() == "market":
            self._subscribe(client, tokens, order)
        else:
            client.send(b"INVALID OPERATION")

    def _subscribe(self, client: _Client, tokens: list[str], order: dict[str, Any]) -> None:
        """No acknowledgement but the books of the live tokens, all in one array; unknown tokens are left out."""
        client.subscribed = True
        client.custom = bool(order.get("custom_feature_enabled", client.custom))
        limit = self._board.token_limit(client.path)
        if limit is not None:
            tokens = [token for token in tokens if token not in client.tokens][: max(0, limit - len(client.tokens))]
        client.tokens.update(tokens)
        if order.get("initial_dump", True) is False:
            return
        found = [self._world.by_token[token] for token in tokens if token in self._world.by_token]
        client.thaw(state.market.market for state, _ in found)
        live = [(state, index) for state, index in found if state.phase == "open"]
        live = [(state, index) for state, index in live if not client.withholds(state.market.market)]
        client.send(orjson.dumps([_book(state, index, opening=True) for state, index in live]))

    # ── what the tape says ───────────────────────────────────────────────────────────────────────────────────────────

    def _tell(self, change: Change) -> None:
        state, line = change.state, change.line
        tokens = state.market.tokens
        listed = [orjson.dumps(_new_market(state))] if change.listed else []
        if isinstance(line, Market):
            hearers = [(client, listed) for client in self._clients if client.custom]
            self._board.tell("polymarket", change, hearers)
            return
        hearing = [client for client in self._clients if not client.tokens.isdisjoint(tokens)]
        frames = self._frames(change) if hearing else []
        extras = _extra_frames(change) if hearing else []
        told: list[tuple[_Client, list[bytes]]] = []
        for client in self._clients:
            mine = listed if client.custom else []
            if client in hearing:
                custom = extras if client.custom else ()
                mine = [*mine, *frames, *(extra for token, extra in custom if token is None or token in client.tokens)]
            if mine:
                told.append((client, mine))
        self._board.tell("polymarket", change, told)

    def _frames(self, change: Change) -> list[bytes]:
        state, line = change.state, change.line
        at_ms = str((line.ts_us or 0) // 1_000)
        frames: list[bytes] = []
        entries = _entries(change)
        if entries:
            frame = {"market": state.market.market, "price_changes": entries, "timestamp": at_ms}
            frames.append(orjson.dumps(frame | {"event_type": "price_change"}))
        if isinstance(line, Quote) and line.trade is not None:
            frames.append(orjson.dumps(_trade(state, line.trade, at_ms)))
            frames.append(orjson.dumps(_book(state, 0, opening=False)))
        return frames


def _book(state: MarketState, index: int, *, opening: bool) -> dict[str, Any]:
    """A book frame; tick size and last trade only on the opening one."""
    absent = NOT_IN_A_FRAME if opening else (*NOT_IN_A_FRAME, "tick_size", "last_trade_price")
    row = {key: value for key, value in book_row(state, index).items() if key not in absent}
    return row | {"event_type": "book"}


def _entries(change: Change) -> list[dict[str, str]]:
    """Each changed level, for both tokens; the best prices on an entry are those after the whole frame."""
    state = change.state
    bids, asks = state.book()
    entries: list[dict[str, str]] = []
    books = ((change.bids, bids, change.asks, asks), _other_side(change, bids, asks))
    for index, (old_bids, new_bids, old_asks, new_asks) in enumerate(books):
        levels = [(level, "BUY") for level in changed_levels(old_bids, new_bids)]
        levels += [(level, "SELL") for level in changed_levels(old_asks, new_asks)]
        common = {
            "hash": book_row(state, index)["hash"] if levels else "",
            "best_bid": decimal(max(new_bids, default=0)),
            "best_ask": decimal(min(new_asks, default=PPM)),
        }
        token = state.market.tokens[index]
        for (price, _, size), side in levels:
            entry = {"asset_id": token, "price": decimal(price), "size": size_text(size), "side": side}
            entries.append(entry | common)
    return entries


def _other_side(change: Change, bids: Levels, asks: Levels) -> tuple[Levels, Levels, Levels, Levels]:
    return mirrored(change.asks), mirrored(asks), mirrored(change.bids), mirrored(bids)


def _trade(state: MarketState, trade: Trade, at_ms: str) -> dict[str, str]:
    return {
        "market": state.market.market,
        "asset_id": state.market.tokens[0],
        "price": decimal(trade.price_ppm),
        "size": size_text(trade.size_centi),
        "fee_rate_bps": "0",
        "side": trade.side.upper(),
        "timestamp": at_ms,
        "event_type": "last_trade_price",
        "transaction_hash": ids.condition_id(f"{state.market.market}/{at_ms}/{trade.size_centi}"),
    }


def _extra_frames(change: Change) -> list[tuple[str | None, bytes]]:
    """Frames behind `custom_feature_enabled`, each with the token it is for (None: the market)."""
    state, line = change.state, change.line
    frames: list[tuple[str | None, bytes]] = []
    bids, asks = state.book()
    best = (max(bids, default=0), min(asks, default=PPM))
    if best != (max(change.bids, default=0), min(change.asks, default=PPM)):
        tokens = state.market.tokens
        for token, (bid, ask) in zip(tokens, (best, (PPM - best[1], PPM - best[0])), strict=True):
            frames.append((token, orjson.dumps(_best_bid_ask(state, token, bid, ask, line.ts_us or 0))))
    if isinstance(line, Settle):
        frames.append((None, orjson.dumps(_market_resolved(state, line))))
    return frames


def _best_bid_ask(state: MarketState, token: str, bid: int, ask: int, ts_us: int) -> dict[str, str]:
    return {
        "market": state.market.market,
        "asset_id": token,
        "best_bid": decimal(bid),
        "best_ask": decimal(ask),
        "spread": decimal(ask - bid),
        "timestamp": str(ts_us // 1_000),
        "event_type": "best_bid_ask",
    }


def _market_resolved(state: MarketState, line: Settle) -> dict[str, Any]:
    market = state.market
    return {
        "id": market.market_id,
        "market": market.market,
        "assets_ids": list(market.tokens),
        "winning_asset_id": market.tokens[line.winner],
        "winning_outcome": market.outcomes[line.winner],
        "event_message": None,
        "timestamp": str(line.ts_us // 1_000),
        "event_type": "market_resolved",
        "tags": list(market.tags),
    }


def _new_market(state: MarketState) -> dict[str, Any]:
    market = state.market
    return {
        "id": market.market_id,
        "question": market.title,
        "market": market.market,
        "slug": market.event,
        "assets_ids": list(market.tokens),
        "outcomes": list(market.outcomes),
        "event_message": {
            "id": market.event_id,
            "ticker": market.event,
            "slug": market.event,
            "title": market.event_title,
        },
        "timestamp": str(state.listed_us // 1_000),
        "event_type": "new_market",
        "tags": [],
        "condition_id": market.market,
        "active": False,
        "clob_token_ids": list(market.tokens),
        "sports_market_type": "",
        "line": "",
        "game_start_time": "",
        "order_price_min_tick_size": f"{market.tick:g}",
        "group_item_title": market.option,
        "taker_base_fee": "1000",
        "fees_enabled": True,
        "fee_schedule": {"exponent": "1", "rate": "0.05", "taker_only": True, "rebate_rate": "0.25"},
    }
