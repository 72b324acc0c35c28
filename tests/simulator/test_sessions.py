"""Faults on the WebSockets, and the ledger of what was told."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from websockets.exceptions import ConnectionClosed, ConnectionClosedError, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from simulator.tape import write_tape
from tests.simulator.conftest import CONDITION, Running, small_tape

Start = Callable[..., Running]
OTHER = "0x" + "cd" * 32
TICKER = "KXTEST-26DEC31-T5"
LOGIN = {"KALSHI-ACCESS-KEY": "k", "KALSHI-ACCESS-TIMESTAMP": "1", "KALSHI-ACCESS-SIGNATURE": "s"}


@pytest.fixture
def venue(start: Start, tmp_path: Path) -> Running:
    """A simulator standing at the first moment of the small tape: what happens is what a test injects."""
    write_tape(tmp_path / "small.tape", small_tape())
    venue = start("--tape", str(tmp_path / "small.tape"), "--lockstep")
    post(venue, "lines", b'{"kind":"quote","ts_us":0,"market":"%s","bid":0.1,"ask":0.2}' % OTHER.encode())
    post(venue, "ledger", json.dumps({"on": True}).encode())
    return venue


def post(venue: Running, what: str, body: bytes) -> Any:
    return (
        httpx.post(f"{venue.address}/simulator/{what}", content=body, trust_env=False, timeout=60)
        .raise_for_status()
        .json()
    )


def fault(venue: Running, mode: str, **more: Any) -> Any:
    return post(venue, "faults", json.dumps({"path_prefix": "/poly-ws", "mode": mode, **more}).encode())


def quote(venue: Running, market: str, bid: float, ask: float) -> None:
    post(venue, "lines", json.dumps({"kind": "quote", "ts_us": 0, "market": market, "bid": bid, "ask": ask}).encode())


@contextlib.contextmanager
def polymarket(venue: Running, *markets: str) -> Iterator[ClientConnection]:
    address = venue.address.replace("http", "ws") + "/poly-ws/ws/market"
    with connect(address, proxy=None, max_size=None, close_timeout=0.2) as socket:
        socket.send(json.dumps({"assets_ids": [token(venue, market) for market in markets], "type": "market"}))
        opening = json.loads(socket.recv(timeout=60))
        assert {book["event_type"] for book in opening} == {"book"}
        yield socket


def token(venue: Running, market: str) -> str:
    [row] = venue.get(f"/gamma/markets/keyset?condition_ids={market}")["markets"]
    return str(json.loads(row["clobTokenIds"])[0])


def best_bids(socket: ClientConnection, count: int) -> list[str]:
    frames = [json.loads(socket.recv(timeout=60)) for _ in range(count)]
    return [frame["price_changes"][-1]["best_bid"] for frame in frames]


def silent(socket: ClientConnection, *, pong: bool = True) -> bool:
    """Whether nothing but an answer to PING comes."""
    socket.send("PING")
    try:
        return socket.recv(timeout=60 if pong else 0.3) == "PONG"
    except TimeoutError:
        return not pong


def test_a_frozen_socket_answers_ping_and_says_nothing_more_until_a_new_one_is_opened(venue: Running) -> None:
    with polymarket(venue, CONDITION) as old:
        assert fault(venue, "frozen") == {"ok": True, "connections": 1}
        quote(venue, CONDITION, 0.5, 0.52)

        assert silent(old)
        with polymarket(venue, CONDITION) as new:
            quote(venue, CONDITION, 0.6, 0.62)
            assert best_bids(new, 1)
        assert silent(old)


def test_a_frozen_market_thaws_when_it_is_subscribed_anew_and_its_neighbour_never_froze(venue: Running) -> None:
    with polymarket(venue, CONDITION, OTHER) as socket:
        fault(venue, "frozen_market", markets=[CONDITION])
        quote(venue, CONDITION, 0.5, 0.52)
        quote(venue, OTHER, 0.15, 0.2)
        assert best_bids(socket, 1) == ["0.8"]  # the NO side of OTHER comes last

        socket.send(json.dumps({"operation": "subscribe", "assets_ids": [token(venue, CONDITION)]}))
        [book] = json.loads(socket.recv(timeout=60))
        assert book["bids"][-1]["price"] == "0.5"
        quote(venue, CONDITION, 0.7, 0.72)
        assert best_bids(socket, 1)


def test_a_half_open_socket_says_nothing_at_all_and_is_not_closed(venue: Running) -> None:
    with polymarket(venue, CONDITION) as socket:
        fault(venue, "half_open")
        quote(venue, CONDITION, 0.5, 0.52)

        assert silent(socket, pong=False)
        assert [row["number"] for row in venue.get("/simulator/connections")] == [1]


@pytest.mark.parametrize(("mode", "code"), [("close", 1013), ("drop", None)])
def test_a_connection_is_closed_with_1013_or_cut_without_a_word(venue: Running, mode: str, code: int | None) -> None:
    with polymarket(venue, CONDITION) as socket:
        fault(venue, mode)
        with pytest.raises(ConnectionClosed) as caught:
            socket.recv(timeout=60)

    assert (caught.value.rcvd.code if caught.value.rcvd else None) == code


def test_frames_come_swapped_twice_or_not_at_all(venue: Running) -> None:
    def play(mode: str) -> list[str]:
        with polymarket(venue, CONDITION) as socket:
            fault(venue, mode, every=2)
            for bid in (0.1, 0.2, 0.3, 0.4, 0.5):
                quote(venue, CONDITION, bid, 0.6)
            fault(venue, "off")
            socket.send("PING")
            bids = []
            while (text := socket.recv(timeout=60)) != "PONG":
                bids.append(json.loads(text)["price_changes"][0]["best_bid"])
        quote(venue, CONDITION, 0.01, 0.6)
        return bids

    assert play("reordered") == ["0.1", "0.3", "0.2", "0.5", "0.4"]
    assert play("duplicated") == ["0.1", "0.2", "0.2", "0.3", "0.4", "0.4", "0.5"]
    assert play("lost") == ["0.1", "0.3", "0.5"]


def test_frames_of_one_connection_are_lost_where_only_that_one_is_named(venue: Running) -> None:
    with polymarket(venue, CONDITION) as struck, polymarket(venue, CONDITION) as spared:
        [first, _] = venue.get("/simulator/connections")
        fault(venue, "lost", every=1, only=first["number"])
        quote(venue, CONDITION, 0.5, 0.52)

        assert best_bids(spared, 1)
        assert silent(struck)


def test_above_the_token_limit_there_is_no_book_no_data_and_no_word_of_it(venue: Running) -> None:
    fault(venue, "token_limit", limit=1)
    with polymarket(venue, CONDITION, OTHER) as socket:
        quote(venue, OTHER, 0.3, 0.4)
        assert silent(socket)
        quote(venue, CONDITION, 0.3, 0.4)
        assert best_bids(socket, 1)


def test_handshakes_are_refused_over_the_connection_limit_or_all(venue: Running) -> None:
    fault(venue, "connection_limit", limit=1)
    with polymarket(venue, CONDITION), pytest.raises(InvalidStatus) as many, polymarket(venue, CONDITION):
        pass
    fault(venue, "off")
    fault(venue, "refused")
    with pytest.raises(InvalidStatus) as refused, polymarket(venue, CONDITION):
        pass

    assert (many.value.response.status_code, refused.value.response.status_code) == (429, 401)


def test_a_giant_frame_is_as_large_as_asked(venue: Running) -> None:
    with polymarket(venue, CONDITION) as socket:
        fault(venue, "giant", bytes=3_000_000)
        assert len(socket.recv(timeout=60)) > 3_000_000


def test_a_slow_consumer_that_is_closed_reads_what_was_queued_before(venue: Running) -> None:
    with polymarket(venue, CONDITION) as socket:
        quote(venue, CONDITION, 0.5, 0.52)
        fault(venue, "close")
        assert best_bids(socket, 1)
        with pytest.raises(ConnectionClosedError):
            socket.recv(timeout=60)


def test_the_ledger_numbers_each_change_and_names_who_was_told_and_who_was_not(venue: Running) -> None:
    before_us = time.time_ns() // 1_000
    with polymarket(venue, CONDITION), polymarket(venue, CONDITION, OTHER):
        fault(venue, "frozen", connection=1)
        quote(venue, CONDITION, 0.5, 0.52)
        quote(venue, OTHER, 0.15, 0.2)
        rows = venue.get("/simulator/ledger")

    assert [(row["number"], row["market"], row["bid"], row["told"], row["withheld"]) for row in rows] == [
        (1, CONDITION, 0.5, [2], [1]),
        (2, OTHER, 0.15, [2], []),
    ]
    assert venue.get("/simulator/ledger?after=1") == rows[1:]
    assert all(row["ts_us"] <= before_us for row in rows)  # the tape's time


def test_what_a_freeze_withholds_takes_no_number_and_what_is_lost_does(venue: Running) -> None:
    address = venue.address.replace("http", "ws") + "/kalshi/trade-api/ws/v2"

    def numbers(mode: str, **more: Any) -> list[int]:
        with connect(address, additional_headers=LOGIN, proxy=None) as socket:
            params = {"channels": ["orderbook_delta"], "market_tickers": [TICKER]}
            socket.send(json.dumps({"id": 1, "cmd": "subscribe", "params": params}))
            seen = [json.loads(socket.recv(timeout=60)) for _ in range(2)]
            fault(venue, mode, path_prefix="/kalshi", **more)
            quote(venue, TICKER, 0.3, 0.4)
            fault(venue, "off", path_prefix="/kalshi")
            quote(venue, TICKER, 0.4, 0.5)
            socket.send(json.dumps({"id": 9, "cmd": "nonsense"}))
            while seen[-1]["type"] != "error":
                seen.append(json.loads(socket.recv(timeout=60)))
        return [frame["seq"] for frame in seen if "seq" in frame]

    frozen, lost = numbers("frozen_market"), numbers("lost", every=1)

    assert frozen == list(range(1, len(frozen) + 1))
    assert lost != list(range(1, len(lost) + 1))
