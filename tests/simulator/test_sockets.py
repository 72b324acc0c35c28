"""The WebSockets, over a real connection: opening books, changes that add up to the REST book, numbering, refusals."""

from __future__ import annotations

import json
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from simulator.tape import write_tape
from tests.payloads import file_name, folders
from tests.producers.frame_lines import frames_of
from tests.simulator.conftest import CONDITION, START_US, Running, small_tape
from tests.simulator.polymarket.test_api import json_type, not_as

TICKER = "KXTEST-26DEC31-T5"
LOGIN = {"KALSHI-ACCESS-KEY": "k", "KALSHI-ACCESS-TIMESTAMP": "1", "KALSHI-ACCESS-SIGNATURE": "s"}
Start = Callable[..., Running]


@pytest.fixture
def venue(start: Start, tmp_path: Path) -> Running:
    """A simulator standing at the first moment of the small tape, which has been swept."""
    write_tape(tmp_path / "small.tape", small_tape())
    running = start("--tape", str(tmp_path / "small.tape"), "--lockstep")
    step(running)
    return running


def polymarket(venue: Running) -> ClientConnection:
    return connect(venue.address.replace("http", "ws") + "/poly-ws/ws/market")


def kalshi(venue: Running, headers: dict[str, str] | None = None) -> ClientConnection:
    address = venue.address.replace("http", "ws") + "/kalshi/trade-api/ws/v2"
    return connect(address, additional_headers=LOGIN if headers is None else headers)


def step(venue: Running) -> None:
    """Another sweep of each venue, so that both step on."""
    venue.get("/gamma/markets/keyset?closed=false&limit=100")
    venue.get("/kalshi/trade-api/v2/markets?status=open&limit=1000&mve_filter=exclude")


def tokens(venue: Running) -> list[str]:
    [row] = venue.get(f"/gamma/markets/keyset?condition_ids={CONDITION}")["markets"]
    return [str(token) for token in json.loads(row["clobTokenIds"])]


def receive(socket: ClientConnection) -> Any:
    return json.loads(socket.recv(timeout=60))


def subscribe(ids: list[str], **more: Any) -> str:
    return json.dumps({"assets_ids": ids, "type": "market", **more})


def until_settled(socket: ClientConnection) -> list[dict[str, Any]]:
    frames: list[dict[str, Any]] = []
    while not frames or frames[-1]["event_type"] != "market_resolved":
        frames.append(receive(socket))
    return frames


def test_replaying_the_channel_gives_the_rest_book_at_every_moment(venue: Running) -> None:
    ids = tokens(venue)
    books: dict[str, dict[str, dict[Decimal, Decimal]]] = {}

    def take(frame: dict[str, Any]) -> None:
        if frame["event_type"] == "book":
            book = {side: {Decimal(v["price"]): Decimal(v["size"]) for v in frame[side]} for side in ("bids", "asks")}
            books[frame["asset_id"]] = book
        for entry in frame.get("price_changes", []):
            side = books[entry["asset_id"]]["bids" if entry["side"] == "BUY" else "asks"]
            side[Decimal(entry["price"])] = Decimal(entry["size"])
            if entry["size"] == "0":
                del side[Decimal(entry["price"])]
        for entry in frame.get("price_changes", [])[-1:]:
            book = books[entry["asset_id"]]
            assert Decimal(entry["best_bid"]) == max(book["bids"], default=Decimal(0))
            assert Decimal(entry["best_ask"]) == min(book["asks"], default=Decimal(1))

    with polymarket(venue) as socket:
        socket.send(subscribe([*ids, "999"]))
        opening = receive(socket)
        assert [frame["asset_id"] for frame in opening] == ids
        for frame in opening:
            take(frame)
        for _ in range(4):
            step(venue)
            socket.send("PING")
            while (text := socket.recv(timeout=60)) != "PONG":
                take(json.loads(text))
            for token in ids:
                rest = venue.get(f"/clob/book?token_id={token}")
                for side in ("bids", "asks"):
                    assert {Decimal(v["price"]): Decimal(v["size"]) for v in rest[side]} == books[token][side]


def frames_in(folder: Path) -> list[dict[str, Any]]:
    """All frames in a folder of payloads; arrays of them taken apart."""
    bodies = [json.loads(frame) for path in sorted(folder.glob("ws_*")) for frame in frames_of(path)]
    items = [item for body in bodies for item in (body if isinstance(body, list) else [body])]
    return [item for item in items if isinstance(item, dict)]


@pytest.mark.parametrize("folder", folders("polymarket"), ids=file_name)
def test_frames_have_the_keys_and_types_of_real_ones(venue: Running, folder: Path) -> None:
    real = [frame for frame in frames_in(folder) if "event_type" in frame]
    ids = tokens(venue)

    with polymarket(venue) as socket:
        socket.send(subscribe(ids, custom_feature_enabled=True))
        frames: list[dict[str, Any]] = receive(socket)
        for _ in range(6):
            step(venue)
        frames += until_settled(socket)

    kinds = {frame["event_type"] for frame in frames}
    assert kinds == {"book", "price_change", "last_trade_price", "best_bid_ask", "new_market", "market_resolved"}
    for kind in kinds:
        alike = [frame for frame in real if frame["event_type"] == kind]
        ours = [frame for frame in frames if frame["event_type"] == kind]
        assert not not_as(alike, ours), kind
    entries = [entry for frame in frames for entry in frame.get("price_changes", [])]
    assert not not_as([entry for frame in real for entry in frame.get("price_changes", [])], entries)
    assert frames[-1]["winning_outcome"] == "Yes"
    assert ("0", "1") in {(entry["best_bid"], entry["best_ask"]) for entry in entries}  # the book empties first


def test_later_subscriptions_widen_and_narrow_what_is_sent(venue: Running) -> None:
    yes, no = tokens(venue)

    with polymarket(venue) as socket:
        socket.send(subscribe([]))
        assert receive(socket) == []
        socket.send(json.dumps({"operation": "subscribe", "assets_ids": [no]}))
        assert [frame["asset_id"] for frame in receive(socket)] == [no]
        step(venue)
        assert {entry["asset_id"] for entry in receive(socket)["price_changes"]} == {yes, no}
        socket.send(json.dumps({"operation": "unsubscribe", "assets_ids": [no]}))
        socket.send("PING")
        while socket.recv(timeout=60) != "PONG":
            pass
        step(venue)
        step(venue)
        socket.send("PING")
        assert socket.recv(timeout=60) == "PONG"


def test_a_ping_before_any_subscription_ends_the_connection(venue: Running) -> None:
    with polymarket(venue) as socket:
        socket.send("PING")
        with pytest.raises(ConnectionClosed) as caught:
            socket.recv(timeout=60)
    assert caught.value.rcvd is not None
    assert caught.value.rcvd.code == 1008


def test_kalshi_refuses_a_handshake_without_login_headers(venue: Running) -> None:
    with pytest.raises(InvalidStatus) as caught, kalshi(venue, {}):
        pass
    assert caught.value.response.status_code == 401


def test_kalshi_deltas_add_up_to_the_rest_book_and_are_numbered_without_a_gap(venue: Running) -> None:
    book: dict[str, dict[str, Decimal]] = {"yes": {}, "no": {}}
    sequence = []

    with kalshi(venue) as socket:
        params = {"channels": ["orderbook_delta"], "market_tickers": [TICKER]}
        socket.send(json.dumps({"id": 1, "cmd": "subscribe", "params": params}))
        assert receive(socket) == {"type": "subscribed", "id": 1, "msg": {"channel": "orderbook_delta", "sid": 1}}
        for moment in range(4):
            socket.send(json.dumps({"id": 99, "cmd": "nonsense"}))
            while (frame := receive(socket))["type"] != "error":
                sequence.append(frame["seq"])
                message = frame["msg"]
                if frame["type"] == "orderbook_snapshot":
                    for side in ("yes", "no"):
                        book[side] = {p: Decimal(s) for p, s in message.get(f"{side}_dollars_fp", [])}
                else:
                    level = book[message["side"]]
                    price = message["price_dollars"]
                    level[price] = level.get(price, Decimal(0)) + Decimal(message["delta_fp"])
                    if not level[price]:
                        del level[price]
            rest = venue.get(f"/kalshi/trade-api/v2/markets/{TICKER}/orderbook")["orderbook_fp"]
            for side in ("yes", "no"):
                assert {p: Decimal(s) for p, s in rest[f"{side}_dollars"]} == book[side], moment
            step(venue)

    assert sequence == list(range(1, len(sequence) + 1))
    assert len(sequence) > 10


@pytest.mark.parametrize("folder", folders("kalshi"), ids=file_name)
def test_kalshi_frames_have_the_keys_and_types_of_real_ones(venue: Running, folder: Path) -> None:
    real = [frame for frame in frames_in(folder) if "msg" in frame]
    trades = [
        trade
        for name in ("trades", "current_trades_page_2026-07")
        if (folder / f"{name}.json").is_file()
        for trade in json.loads((folder / f"{name}.json").read_text())["trades"]
    ]
    channels = ["ticker", "trade", "market_lifecycle_v2"]

    with kalshi(venue) as socket:
        params: dict[str, Any] = {"channels": channels, "send_initial_snapshot": True}
        socket.send(json.dumps({"id": 1, "cmd": "subscribe", "params": params}))
        params = {"channels": ["orderbook_delta"], "market_tickers": [TICKER]}
        socket.send(json.dumps({"id": 2, "cmd": "subscribe", "params": params}))
        socket.send(json.dumps({"id": 3, "cmd": "subscribe", "params": params}))
        socket.send(json.dumps({"id": 4, "cmd": "subscribe", "params": {"channels": ["ticker_v2"]}}))
        frames = [receive(socket)]
        while frames[-1]["type"] != "error":
            frames.append(receive(socket))
        for _ in range(5):
            step(venue)
        while frames[-1]["msg"].get("event_type") != "settled":
            frames.append(receive(socket))

    kinds = {frame["type"] for frame in frames}
    streamed = {"ticker", "trade", "orderbook_snapshot", "orderbook_delta", "market_lifecycle_v2"}
    assert kinds == {"subscribed", "ok", "error"} | streamed
    assert next(f for f in frames if f["type"] == "error")["msg"] == {"code": 8, "msg": "Unknown channel name"}
    assert all("seq" not in frame for frame in frames if frame["type"] == "ticker")
    for kind in kinds:
        alike = [frame for frame in real if frame["type"] == kind]
        ours = [frame for frame in frames if frame["type"] == kind]
        assert not not_as(alike, ours), kind
        bodies = [frame["msg"] for frame in alike] + ([*trades, {"ts_ms": 1}] if kind == "trade" else [])
        bodies += [{"clock": 1}] if kind.startswith("orderbook") else []  # required since October 2026; no real frame
        assert not not_as(bodies, [frame["msg"] for frame in ours]), kind
    assert frames[-2]["msg"]["result"] == "no"
    assert json_type(frames[-2]["msg"]["settlement_value"]) == "str"


def test_kalshi_more_markets_on_a_subscription_take_a_number_and_only_new_ones_get_a_snapshot(venue: Running) -> None:
    with kalshi(venue) as socket:
        params: dict[str, Any] = {"channels": ["orderbook_delta"], "market_ticker": TICKER}
        socket.send(json.dumps({"id": 1, "cmd": "subscribe", "params": params}))
        update = {"sids": [1], "action": "add_markets", "market_tickers": [TICKER, "KXOTHER-1"]}
        socket.send(json.dumps({"id": 2, "cmd": "update_subscription", "params": update}))
        socket.send(json.dumps({"id": 3, "cmd": "unsubscribe", "params": {"sids": [1]}}))
        frames = [receive(socket) for _ in range(5)]

    assert [(f["type"], f.get("seq")) for f in frames] == [
        ("subscribed", None),
        ("orderbook_snapshot", 1),
        ("ok", 2),
        ("orderbook_snapshot", 3),
        ("unsubscribed", 4),
    ]
    assert frames[3]["msg"].keys() == {"market_ticker", "market_id", "clock"}  # unknown: both sides absent


def test_streams_flow_by_themselves_when_the_tape_runs(start: Start) -> None:
    venue = start("--markets", "60", "--speed", "60", "--since", "10m")
    rows = httpx.get(f"{venue.address}/gamma/markets/keyset?limit=100&closed=false", timeout=60).json()["markets"]
    ids = [token for row in rows for token in json.loads(row["clobTokenIds"])]

    with polymarket(venue) as one, kalshi(venue) as two:
        one.send(subscribe(ids))
        two.send(json.dumps({"id": 1, "cmd": "subscribe", "params": {"channels": ["ticker"]}}))
        assert len(receive(one)) == 60
        assert receive(one)["event_type"] in ("price_change", "last_trade_price")
        assert receive(two)["type"] == "subscribed"
        stamps = [receive(two)["msg"]["ts_ms"] for _ in range(20)]

    assert stamps == sorted(stamps)
    assert stamps[-1] * 1_000 <= venue.get("/simulator/status")["now_us"]
    assert stamps[0] * 1_000 > START_US
