"""PolyBolt as the venue describes it: acknowledgements, one snapshot each, dense numbers, limits that close."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from simulator.tape import write_tape
from tests.simulator.conftest import Running, small_tape
from tests.simulator.test_sockets import receive, step, tokens

Start = Callable[..., Running]


@pytest.fixture
def venue(start: Start, tmp_path: Path) -> Running:
    """A simulator standing at the first moment of the small tape."""
    write_tape(tmp_path / "small.tape", small_tape())
    return start("--tape", str(tmp_path / "small.tape"), "--lockstep")


def bolt(venue: Running) -> ClientConnection:
    return connect(venue.address.replace("http", "ws") + "/poly-bolt/ws")


def order(op: str, ids: list[str], **more: Any) -> str:
    wanted = [{"channel": "price.polymarket", "filter": {"asset_id": token}} for token in ids]
    return json.dumps({"op": op, "subscriptions": wanted, **more})


def test_each_new_subscription_gets_an_acknowledgement_and_one_snapshot(venue: Running) -> None:
    yes, no = tokens(venue)
    with bolt(venue) as socket:
        socket.send(order("subscribe", [yes, no], rid="s1"))
        told = [receive(socket) for _ in range(4)]
        socket.send(order("subscribe", [yes], rid="s2"))
        again = receive(socket)
        socket.send('{"op": "ping", "rid": "p"}')
        pong = receive(socket)

    assert [t["op"] for t in (*told[::2], again, pong)] == ["subscribed", "subscribed", "subscribed", "pong"]
    assert [(t["seq"], t["snapshot"], t["payload"]["best_bid"], t["payload"]["best_ask"]) for t in told[1::2]] == [
        (1, True, "0.4", "0.42"),
        (2, True, "0.58", "0.6"),
    ]


def test_a_change_of_the_best_prices_is_told_and_numbered_on(venue: Running) -> None:
    yes, _ = tokens(venue)
    with bolt(venue) as socket:
        socket.send(order("subscribe", [yes]))
        receive(socket), receive(socket)
        step(venue)
        step(venue)
        told = [receive(socket) for _ in range(2)]

    assert [(t["seq"], t["payload"]["best_bid"], "snapshot" in t) for t in told] == [
        (2, "0.43", False),
        (3, "0.44", False),
    ]


def test_a_token_that_nobody_knows_gets_an_empty_snapshot(venue: Running) -> None:
    with bolt(venue) as socket:
        socket.send(order("subscribe", ["123"]))
        told = [receive(socket), receive(socket)]

    assert (told[1]["snapshot"], told[1]["payload"]) == (True, [])


@pytest.mark.parametrize(
    ("sent", "code"),
    [
        ("no json", "bad_op"),
        ('{"op": "dance"}', "bad_op"),
        ('{"op": "subscribe", "channel": "price.gold", "filter": {"symbol": "au"}}', "bad_channel"),
        ('{"op": "subscribe", "channel": "price.polymarket", "filter": {"asset_id": "x"}}', "bad_filter"),
    ],
)
def test_a_wrong_order_is_refused_and_the_connection_stays(venue: Running, sent: str, code: str) -> None:
    with bolt(venue) as socket:
        socket.send(sent)
        refused = receive(socket)
        socket.send('{"op": "ping"}')

        assert (refused["op"], refused["code"], receive(socket)["op"]) == ("error", code, "pong")


@pytest.mark.parametrize(
    ("orders", "code"),
    [
        ([order("subscribe", [str(number) for number in range(1, 66)])], "sub_limit"),
        ([order("unsubscribe", ["1"])] * 21, "rate_limited"),
    ],
    ids=["the 65th subscription", "the 21st order in a second"],
)
def test_who_breaks_the_rules_is_told_so_and_cut_off(venue: Running, orders: list[str], code: str) -> None:
    with bolt(venue) as socket:
        for each in orders:
            socket.send(each)
        told, end = until_cut_off(socket)

    assert told[-1]["code"] == code
    assert end.rcvd is not None
    assert end.rcvd.code == 4008


def until_cut_off(socket: ClientConnection) -> tuple[list[Any], ConnectionClosed]:
    told = []
    while True:
        try:
            told.append(receive(socket))
        except ConnectionClosed as end:
            return told, end
