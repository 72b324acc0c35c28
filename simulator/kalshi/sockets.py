"""Kalshi's WebSocket: ticker, trade, orderbook_delta, market_lifecycle_v2.

The handshake must carry the three KALSHI-ACCESS headers, also for public channels; signatures are checked once a key is
registered.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

import orjson
from starlette.websockets import WebSocket

from schemas.units import PPM, US_PER_S
from simulator import ids
from simulator.clock import real_now_us
from simulator.kalshi.api import refused, trade_row
from simulator.kalshi.login import Login
from simulator.kalshi.rows import (
    count,
    count_centi,
    dollars,
    iso,
    levels_rows,
    no_levels,
    top_centi,
)
from simulator.player import Player
from simulator.sessions import Endpoint, Session, Switchboard, changed_levels
from simulator.tape import Close, Market, Quote, Settle
from simulator.world import Change, MarketState, World

CHANNELS: Final = ("ticker", "trade", "orderbook_delta", "market_lifecycle_v2")
UNNUMBERED: Final = "ticker"  # the only channel without seq
ERRORS: Final = {
    1: "Unable to process message",
    2: "Params required",
    3: "Channels required",
    5: "Unknown command",
    7: "Unknown subscription ID",
    8: "Unknown channel name",
    13: "Unsupported action",
    14: "Market ticker required",
}


@dataclass(slots=True, eq=False)
class _Subscription:
    channel: str
    sid: int
    tickers: set[str] | None  # None: all markets
    seq: int = 0

    def wants(self, ticker: str) -> bool:
        return self.tickers is None or ticker in self.tickers


class _CommandError(Exception):
    def __init__(self, code: int) -> None:
        super().__init__(ERRORS[code])
        self.code = code


class _Client(Session):
    def __init__(self, socket: WebSocket, board: Switchboard, world: World) -> None:
        super().__init__(socket, board)
        self._world = world
        self.subscriptions: dict[int, _Subscription] = {}
        self.sids = 0

    @property
    def markets(self) -> set[str]:
        wanted = [sub.tickers for sub in self.subscriptions.values()]
        if None in wanted:
            return set(self._world.states)
        return {ticker for tickers in wanted for ticker in tickers or ()}

    def on(self, channel: str) -> _Subscription | None:
        return next((sub for sub in self.subscriptions.values() if sub.channel == channel), None)

    def push(self, subscription: _Subscription, kind: str, message: bytes, command: int | None = None) -> None:
        """Sends an answer of a subscription; every one but a ticker's takes the next number."""
        self.send(self.framed(subscription, kind, message, command))

    def framed(self, subscription: _Subscription, kind: str, message: bytes, command: int | None = None) -> bytes:
        """A frame of a subscription with the next number."""
        head = b'{"type":"%s"' % kind.encode()
        if command is not None:
            head += b',"id":%d' % command
        head += b',"sid":%d' % subscription.sid
        if subscription.channel != UNNUMBERED:
            subscription.seq += 1
            head += b',"seq":%d' % subscription.seq
        return head + (b',"msg":' + message if message else b"") + b"}"


class KalshiSocket(Endpoint[_Client]):
    """The endpoint."""

    def __init__(self, player: Player, board: Switchboard) -> None:
        super().__init__(player, board)
        self.login = Login()

    async def serve(self, socket: WebSocket) -> None:
        """One connection, from handshake to end. Without a good login the handshake is answered 401."""
        status = self._board.refuses(socket.url.path)
        path = socket.url.path.removeprefix("/kalshi")  # where the real host has it
        if status is None and not self.login.admits(socket.headers, path, real_now_us() // 1_000):
            status = 401
        if status is not None:
            await socket.send_denial_response(refused(status, "unauthorized", "unauthorized"))
            return
        await socket.accept()
        client = _Client(socket, self._board, self._world)
        await self.attend(client, self._hear)

    # ── what a client says ───────────────────────────────────────────────────────────────────────────────────────────

    def _hear(self, client: _Client, text: str) -> None:
        command: Any = None
        try:
            order = orjson.loads(text)
            command = order.get("id")
            params = order.get("params") or {}
            match order.get("cmd"):
                case "subscribe":
                    self._subscribe(client, command, params)
                case "unsubscribe":
                    self._unsubscribe(client, command, params)
                case "update_subscription":
                    self._update(client, command, params)
                case "list_subscriptions":
                    rows = [{"channel": sub.channel, "sid": sub.sid} for sub in client.subscriptions.values()]
                    client.send(orjson.dumps({"id": command, "type": "ok", "msg": rows}))
                case _:
                    raise _CommandError(5)
        except _CommandError as error:
            body = {"type": "error", "id": command, "msg": {"code": error.code, "msg": ERRORS[error.code]}}
            client.send(orjson.dumps(body))
        except (orjson.JSONDecodeError, AttributeError, TypeError):
            client.send(orjson.dumps({"type": "error", "id": command, "msg": {"code": 1, "msg": ERRORS[1]}}))

    def _subscribe(self, client: _Client, command: int, params: dict[str, Any]) -> None:
        channels = params.get("channels")
        if not channels:
            raise _CommandError(3)
        if any(channel not in CHANNELS for channel in channels):
            raise _CommandError(8)
        tickers = _tickers(params)
        if "orderbook_delta" in channels and not tickers:
            raise _CommandError(14)
        for channel in channels:
            known = client.on(channel)
            if known is not None:
                self._add(client, known, command, tickers)
                continue
            client.sids += 1
            wanted = None if not tickers or channel == "market_lifecycle_v2" else set(tickers)
            subscription = client.subscriptions[client.sids] = _Subscription(channel, client.sids, wanted)
            answer = {"type": "subscribed", "id": command, "msg": {"channel": channel, "sid": client.sids}}
            client.send(orjson.dumps(answer))
            self._open(client, subscription, tickers, params)

    def _open(self, client: _Client, subscription: _Subscription, tickers: list[str], params: dict[str, Any]) -> None:
        if subscription.channel == "orderbook_delta":
            self._snapshots(client, subscription, tickers)
        elif subscription.channel == "ticker" and params.get("send_initial_snapshot"):
            for state in list(self._world.states.values()):
                if subscription.wants(state.market.market) and state.phase == "open":
                    client.push(subscription, "ticker", orjson.dumps(_ticker(state, 0)))

    def _add(self, client: _Client, subscription: _Subscription, command: int, tickers: Iterable[str]) -> None:
        """More markets on a subscription: ok takes a number; only markets that are new to it get a snapshot."""
        known = subscription.tickers
        fresh = [] if known is None else [ticker for ticker in dict.fromkeys(tickers) if ticker not in known]
        if known is not None:
            known.update(fresh)
        self._ok(client, subscription, command)
        if subscription.channel == "orderbook_delta":
            self._snapshots(client, subscription, fresh)

    def _ok(self, client: _Client, subscription: _Subscription, command: int) -> None:
        message = orjson.dumps({"market_tickers": sorted(subscription.tickers or ())})
        client.push(subscription, "ok", message, command)

    def _unsubscribe(self, client: _Client, command: int, params: dict[str, Any]) -> None:
        for sid in params.get("sids") or []:
            subscription = client.subscriptions.pop(sid, None)
            if subscription is None:
                raise _CommandError(7)
            client.push(subscription, "unsubscribed", b"", command)

    def _update(self, client: _Client, command: int, params: dict[str, Any]) -> None:
        sids = params.get("sids") or [params.get("sid")]
        subscription = client.subscriptions.get(sids[0])
        if subscription is None:
            raise _CommandError(7)
        tickers = _tickers(params)
        match params.get("action"):
            case "add_markets":
                self._add(client, subscription, command, tickers)
            case "delete_markets":
                if subscription.tickers is not None:
                    subscription.tickers.difference_update(tickers)
                self._ok(client, subscription, command)
            case "get_snapshot":
                self._snapshots(client, subscription, tickers or sorted(subscription.tickers or ()))
            case _:
                raise _CommandError(13)

    def _snapshots(self, client: _Client, subscription: _Subscription, tickers: list[str]) -> None:
        client.thaw(tickers)
        for ticker in tickers:
            state = self._world.states.get(ticker)
            if not client.withholds(ticker):
                message = orjson.dumps(_snapshot(ticker, state, self._world.version))
                client.push(subscription, "orderbook_snapshot", message)

    # ── what the tape says ───────────────────────────────────────────────────────────────────────────────────────────

    def _tell(self, change: Change) -> None:
        frames = _Frames(change, self._world)
        told = [(client, self._for(client, frames, change.state.market.market)) for client in self._clients]
        self._board.tell("kalshi", change, [(client, mine) for client, mine in told if mine])

    def _for(self, client: _Client, frames: _Frames, ticker: str) -> list[bytes]:
        """The frames of a change that a client has subscribed. What a freeze withholds takes no numbers."""
        found: list[bytes] = []
        for channel, messages in frames.by_channel:
            subscription = client.on(channel)
            if subscription is not None and subscription.wants(ticker):
                frozen = client.withholds(ticker)
                found += [b"" if frozen else client.framed(subscription, channel, message) for message in messages]
        return found


class _Frames:
    """What a change says on each channel, in the order it is sent."""

    def __init__(self, change: Change, world: World) -> None:
        line, state = change.line, change.state
        lifecycle, ticker, trade = "market_lifecycle_v2", "ticker", "trade"
        said: list[tuple[str, list[dict[str, Any]]]] = []
        if change.listed:
            said.append((lifecycle, [_created(state)]))
        if not isinstance(line, Market):
            said.append(("orderbook_delta", _deltas(change, world.version)))
        if isinstance(line, Quote):
            if line.trade is not None:
                said.append((trade, [_trade(trade_row(world.trades[-1]), line.ts_us)]))
            said.append((ticker, [_ticker(state, _last_size(line))]))
        elif isinstance(line, Close):
            said.append((ticker, [_ticker(state, 0)]))
        elif isinstance(line, Settle):
            said.append((lifecycle, _ended(state, line)))
        self.by_channel = [(channel, [orjson.dumps(m) for m in messages]) for channel, messages in said if messages]


def _tickers(params: dict[str, Any]) -> list[str]:
    one = params.get("market_ticker")
    return [one] if one else list(params.get("market_tickers") or [])


def _last_size(line: Quote) -> int:
    return 0 if line.trade is None else line.trade.size_centi


def _snapshot(ticker: str, state: MarketState | None, clock: int) -> dict[str, Any]:
    """Bids of both outcomes; the key of an empty side is absent. `clock` is the same on all connections."""
    market_id = ids.market_uuid(ticker) if state else ""
    message: dict[str, Any] = {"market_ticker": ticker, "market_id": market_id, "clock": clock}
    if state is not None:
        bids, asks = state.book()
        sides = {"yes_dollars_fp": levels_rows(bids), "no_dollars_fp": levels_rows(no_levels(asks))}
        message |= {key: rows for key, rows in sides.items() if rows}
    return message


def _deltas(change: Change, clock: int) -> list[dict[str, Any]]:
    ticker, ts_us = change.state.market.market, change.line.ts_us or 0
    bids, asks = change.state.book()
    levels = [("yes", *level) for level in changed_levels(change.bids, bids)]
    levels += [("no", *level) for level in changed_levels(no_levels(change.asks), no_levels(asks))]
    return [
        {
            "market_ticker": ticker,
            "market_id": ids.market_uuid(ticker),
            "price_dollars": dollars(price),
            "delta_fp": ("-" if new < old else "") + count_centi(abs(new - old)),
            "side": side,
            "clock": clock,
            "ts": iso(ts_us),
            "ts_ms": ts_us // 1_000,
        }
        for side, price, old, new in levels
    ]


def _ticker(state: MarketState, last_centi: int) -> dict[str, Any]:
    bid_centi, ask_centi = top_centi(state)
    return {
        "market_id": ids.market_uuid(state.market.market),
        "market_ticker": state.market.market,
        "price_dollars": dollars(state.last_ppm or 0),
        "yes_bid_dollars": dollars(state.bid_ppm or 0),
        "yes_ask_dollars": dollars(PPM if state.ask_ppm is None else state.ask_ppm),
        "yes_bid_size_fp": count_centi(bid_centi),
        "yes_ask_size_fp": count_centi(ask_centi),
        "last_trade_size_fp": count_centi(last_centi),
        "volume_fp": count(state.volume),
        "open_interest_fp": count(state.volume * 0.44),
        "dollar_volume": int(state.volume / 2),
        "dollar_open_interest": int(state.volume * 0.22),
        "ts": state.changed_us // US_PER_S,
        "ts_ms": state.changed_us // 1_000,
        "time": iso(state.changed_us),
    }


def _trade(row: dict[str, Any], ts_us: int) -> dict[str, Any]:
    kept = {key: value for key, value in row.items() if key not in ("ticker", "created_time")}
    return kept | {"market_ticker": row["ticker"], "ts": ts_us // US_PER_S, "ts_ms": ts_us // 1_000}


def _created(state: MarketState) -> dict[str, Any]:
    market = state.market
    return {
        "market_ticker": market.market,
        "event_type": "created",
        "open_ts": (market.opened_us or state.listed_us) // US_PER_S,
        "close_ts": (market.closes_us or state.listed_us) // US_PER_S,
        "additional_metadata": {
            "name": market.option or market.title,
            "title": market.title,
            "yes_sub_title": market.option,
            "no_sub_title": market.option,
            "rules_primary": "",
            "rules_secondary": "",
            "can_close_early": True,
            "event_ticker": market.event,
        },
    }


def _ended(state: MarketState, line: Settle) -> list[dict[str, Any]]:
    ticker, at_s = state.market.market, line.ts_us // US_PER_S
    result, value = ("yes", "1.0000") if line.winner == 0 else ("no", "0.0000")
    determined = {"market_ticker": ticker, "determination_ts": at_s, "result": result, "settlement_value": value}
    return [
        determined | {"event_type": "determined"},
        {"market_ticker": ticker, "settled_ts": at_s, "event_type": "settled"},
    ]
