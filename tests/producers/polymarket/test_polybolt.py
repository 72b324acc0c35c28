"""PolyBolt's envelopes: tops, snapshots, holes in the numbers, refusals; and how long we stay away."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest

from producers.facts import Top
from producers.polymarket.frames import PolyBoltFrames
from producers.polymarket.sockets import PolyBolt

TOKEN = "7" * 77


def envelope(seq: int, payload: object = None, **more: object) -> bytes:
    said: dict[str, Any] = {"v": 1, "channel": "price.polymarket", "seq": seq, "ts": 1_788_973_000_123, **more}
    return json.dumps({**said, "payload": price() if payload is None else payload}).encode()


def price(bid: object = "0.51", ask: object = "0.53") -> dict[str, object]:
    stamped = {"hash": "3f9c1e7a", "timestamp": 1_788_972_999_871}
    return {"market": "0xab", "asset_id": TOKEN, "best_bid": bid, "best_ask": ask, **stamped}


def test_an_envelope_tells_the_best_prices_and_since_when_the_venue_has_had_them() -> None:
    frames = PolyBoltFrames()

    snapshot, live = frames.read(envelope(1, snapshot=True)), frames.read(envelope(2, price("0.52")))

    at_us = 1_788_972_999_871_000
    assert snapshot.facts == [Top(TOKEN, 510_000, 530_000, None, None, at_us, at_us, opening=True)]
    assert live.facts == [Top(TOKEN, 520_000, 530_000, None, None, at_us, at_us, opening=False)]


@pytest.mark.parametrize(("bid", "ask"), [("0", "1"), ("", ""), (None, None), ("0", "0")])
def test_an_empty_book_has_no_sides_however_it_is_written(bid: object, ask: object) -> None:
    [top] = PolyBoltFrames().read(envelope(1, price(bid, ask))).facts

    assert isinstance(top, Top)
    assert (top.bid_ppm, top.ask_ppm) == (None, None)


def test_a_token_of_which_nothing_is_known_yet_tells_nothing() -> None:
    read = PolyBoltFrames().read(envelope(1, [], snapshot=True))

    assert (read.facts, read.bad) == ([], [])


def test_what_never_came_is_counted_by_the_numbers_and_by_what_the_venue_says_it_dropped() -> None:
    frames = PolyBoltFrames()

    missed = [frames.read(body).missed.get("price.polymarket", 0) for body in (
        envelope(1), envelope(2), envelope(5), envelope(6, dropped=4), envelope(7),
    )]  # fmt: skip

    assert missed == [0, 0, 2, 4, 0]


def test_a_refused_command_is_told_with_its_code() -> None:
    read = PolyBoltFrames().read(b'{"op": "error", "code": "sub_limit", "channel": "price.polymarket"}')

    assert [(ack.code, ack.text) for ack in read.acks] == [(1, "sub_limit")]
    assert PolyBoltFrames().read(b'{"op": "subscribed", "channel": "price.polymarket"}').acks[0].code == 0


@pytest.mark.parametrize(
    "body",
    [
        b"<html>",
        b"[]",
        b"7",
        b'{"channel": "price.polymarket"}',
        envelope(1, price("x")),
        envelope(1, price("1.2")),
        envelope(1, {"asset_id": 7, "best_bid": "0.1", "best_ask": "0.2", "timestamp": 1_788_972_999_871}),
    ],
)
def test_what_cannot_be_read_is_refused_and_raises_nothing(body: bytes) -> None:
    read = PolyBoltFrames().read(body)

    assert len(read.bad) == 1
    assert read.facts == []


def test_another_channel_is_left_out() -> None:
    read = PolyBoltFrames().read(b'{"v": 1, "channel": "price.crypto", "seq": 1, "payload": {}}')

    assert (read.left_out["unknown_event"], read.bad) == (1, [])


def test_who_was_offended_is_not_asked_again_and_who_is_taken_down_is_given_ten_seconds() -> None:
    bolt = PolyBolt("ws://nowhere")

    assert bolt.rest_s(4008) == math.inf
    assert bolt.rest_s(1006) == bolt.rest_s(None) == 0.0
    assert 0.0 <= bolt.rest_s(4003) <= 10.0


def test_one_message_asks_for_many_tokens() -> None:
    order = json.loads(PolyBolt("ws://nowhere").subscribe([TOKEN, "8"]))

    assert order["op"] == "subscribe"
    assert [each["filter"]["asset_id"] for each in order["subscriptions"]] == [TOKEN, "8"]
    assert {each["channel"] for each in order["subscriptions"]} == {"price.polymarket"}
