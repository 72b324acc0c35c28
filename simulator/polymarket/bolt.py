"""PolyBolt's channel `price.polymarket`: the best prices of single tokens (facts: the venue's AsyncAPI, 2026-11-29)."""

from __future__ import annotations

import time
from collections import deque
from typing import Any, Final

import orjson
from starlette.websockets import WebSocket

from schemas.units import PPM
from simulator.paging import answer
from simulator.polymarket.rows import book_row, decimal, token_book
from simulator.sessions import Endpoint, Session, Switchboard
from simulator.world import Change, MarketState

CHANNEL: Final = "price.polymarket"
MOST_SUBSCRIPTIONS: Final = 64
ORDERS_A_SECOND: Final = 20
MOST_BYTES: Final = 64 * 1024
_POLICY: Final = 4008


class _Client(Session):
    slow = (4002, "slow consumer")

    def __init__(self, socket: WebSocket, board: Switchboard) -> None:
        super().__init__(socket, board)
        self.tokens: set[str] = set()
        self.sequence = 0
        self.ordered_s: deque[float] = deque(maxlen=ORDERS_A_SECOND)

    def refuse(self, code: str, rid: object, *, close: bool = False) -> None:
        """An error acknowledgement; a breach of the rules ends the connection."""
        self.send(orjson.dumps(_named({"op": "error", "code": code}, rid)))
        if close:
            self.end(_POLICY, code)


class PolyBoltSocket(Endpoint[_Client]):
    """The endpoint."""

    async def serve(self, socket: WebSocket) -> None:
        """One connection, from handshake to end."""
        if status := self._board.refuses(socket.url.path):
            await socket.send_denial_response(answer({"error": "not here"}, status))
            return
        await socket.accept()
        client = _Client(socket, self._board)
        await self.attend(client, self._hear)

    def _hear(self, client: _Client, text: str) -> None:
        try:
            order = orjson.loads(text)
            op, rid = order["op"], order.get("rid")
        except (orjson.JSONDecodeError, KeyError, TypeError, AttributeError):
            client.refuse("bad_op", None)
            return
        if op == "ping":
            client.send(orjson.dumps(_named({"op": "pong"}, rid)))
        elif op not in ("subscribe", "unsubscribe") or len(text) > MOST_BYTES:
            client.refuse("bad_op", rid)
        elif self._too_many(client):
            client.refuse("rate_limited", rid, close=True)
        else:
            self._obey(client, op, order, rid)

    def _too_many(self, client: _Client) -> bool:
        now_s = time.monotonic()
        full = len(client.ordered_s) == ORDERS_A_SECOND and now_s - client.ordered_s[0] < 1.0
        client.ordered_s.append(now_s)
        return full

    def _obey(self, client: _Client, op: str, order: dict[str, Any], rid: object) -> None:
        for wanted in order.get("subscriptions", [order]):
            token = str((wanted.get("filter") or {}).get("asset_id", ""))
            if wanted.get("channel") != CHANNEL:
                client.refuse("bad_channel", rid)
            elif not token.isdigit():
                client.refuse("bad_filter", rid)
            elif op == "unsubscribe":
                client.tokens.discard(token)
                client.send(orjson.dumps(_named({"op": "unsubscribed", "channel": CHANNEL}, rid)))
            elif token not in client.tokens and len(client.tokens) >= MOST_SUBSCRIPTIONS:
                client.refuse("sub_limit", rid, close=True)
                return
            else:
                is_new = token not in client.tokens
                client.tokens.add(token)
                client.send(orjson.dumps(_named({"op": "subscribed", "channel": CHANNEL}, rid)))
                if is_new:
                    self._show(client, token)

    def _show(self, client: _Client, token: str) -> None:
        """The snapshot of a new subscription; empty for a token that nothing is known of."""
        found = self._world.by_token.get(token)
        market = "" if found is None else found[0].market.market
        payload = [] if found is None or found[0].phase != "open" else _price(*found)
        self._send(client, market, payload, 0 if found is None else found[0].changed_us, {"snapshot": True})

    def _tell(self, change: Change) -> None:
        state = change.state
        told = [
            (index, client)
            for index, token in enumerate(state.market.tokens)
            for client in self._clients
            if token in client.tokens
        ]
        if not told or _best(*state.book()) == _best(*change.book_before):
            return
        for index, client in told:
            self._send(client, state.market.market, _price(state, index), change.line.ts_us or 0, {})

    def _send(self, client: _Client, market: str, payload: Any, ts_us: int, more: dict[str, Any]) -> None:
        client.sequence += 1
        envelope = {"v": 1, "channel": CHANNEL, "seq": client.sequence, "ts": ts_us // 1_000, **more}
        client.tell(orjson.dumps({**envelope, "payload": payload}), market)


def _named(said: dict[str, Any], rid: object) -> dict[str, Any]:
    return said if rid is None else {**said, "rid": rid}


def _best(bids: dict[int, int], asks: dict[int, int]) -> tuple[int, int]:
    return max(bids, default=0), min(asks, default=PPM)


def _price(state: MarketState, index: int) -> dict[str, Any]:
    bid_ppm, ask_ppm = _best(*token_book(state, index))
    return {
        "market": state.market.market,
        "asset_id": state.market.tokens[index],
        "best_bid": decimal(bid_ppm),
        "best_ask": decimal(ask_ppm),
        "hash": book_row(state, index)["hash"][:8],
        "timestamp": state.changed_us // 1_000,
    }
