"""Polymarket's frames: each at hand, and what a reader must not be shaken by."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson
import pytest

from producers.facts import Facts, News, Top, Traded
from producers.polymarket.frames import PolymarketFrames
from schemas.units import ppm_from_venue
from tests.payloads import file_name, folders, made, present
from tests.producers.frame_lines import frames_of, lines, tokens_of
from tests.producers.reviewed import reviewed

NAMES = (
    "ws_book_then_price_changes.jsonl",
    "ws_doubts.jsonl",
    "ws_news.jsonl",
    "ws_trades.jsonl",
    "ws_whole_book.jsonl",
    "ws_best_bid_ask_docs.json",
    "ws_book_2026-01.json",
    "ws_book_2026-02-12.jsonl",
    "ws_book_real_2024.json",
    "ws_book_then_price_changes_2026-09-29.jsonl",
    "ws_duplicates_and_bba_2026-10-04.jsonl",
    "ws_last_trade_price.json",
    "ws_last_trade_price_2026-02-12.jsonl",
    "ws_market_resolved_2026-10-04.json",
    "ws_market_resolved_docs.json",
    "ws_mixed_frames_2026-08-14.jsonl",
    "ws_new_market_2026-07-28.json",
    "ws_new_market_docs.json",
    "ws_price_change_NEW_shape.json",
    "ws_price_change_OLD_shape.json",
    "ws_price_change_sequence_2026-07-28.jsonl",
    "ws_tick_size_change.json",
    "ws_tick_size_change_docs.json",
    "ws_tick_size_change_docs2.json",
)


def lines_of(path: Path) -> list[str]:
    """What a fixture tells when all its tokens are subscribed."""
    reader = PolymarketFrames()
    reader.follow(tokens_of(path))
    return lines(reader, path)


@pytest.mark.parametrize("path", present("polymarket", NAMES), ids=file_name)
def test_each_frame_tells_what_was_reviewed(path: Path) -> None:
    assert lines_of(path) == reviewed("polymarket", path)


@pytest.mark.parametrize("folder", folders("polymarket"), ids=file_name)
def test_every_stream_at_hand_has_reviewed_lines(folder: Path) -> None:
    assert {path.name for path in folder.glob("ws_*")} <= set(NAMES)


@pytest.mark.parametrize(
    "path",
    present("polymarket", ("ws_whole_book.jsonl", "ws_book_then_price_changes_2026-09-29.jsonl")),
    ids=file_name,
)
def test_replaying_a_whole_sequence_the_kept_book_agrees_with_the_venues_top_at_every_step(path: Path) -> None:
    frames = list(frames_of(path))
    token = tokens_of(path)[0]
    reader = PolymarketFrames()
    reader.follow([token])
    top: tuple[int | None, int | None] = (None, None)

    for number, frame in enumerate(frames):
        facts = reader.read(frame)
        assert facts.doubts == []  # a doubt is a top of our own book that is not the venue's
        for fact in facts.facts:
            assert isinstance(fact, Top)
            top = (fact.bid_ppm, fact.ask_ppm)
            assert fact.bid_size_contracts, "a best bid that stands in our book has a size"
        stated = [e for e in orjson.loads(frame).get("price_changes", []) if e["asset_id"] == token]
        if number:
            assert top == tuple(ppm_from_venue(stated[-1][side]) for side in ("best_bid", "best_ask"))


def book(bids: dict[str, str], asks: dict[str, str], **more: Any) -> dict[str, Any]:
    def levels(side: dict[str, str]) -> list[dict[str, str]]:
        return [{"price": price, "size": size} for price, size in side.items()]

    base = {"event_type": "book", "market": "0xm", "asset_id": "t", "timestamp": "1790658661234", "hash": "h0"}
    return {**base, "bids": levels(bids), "asks": levels(asks), **more}


def change(price: str, size: str, side: str, best_bid: str, best_ask: str, **more: Any) -> dict[str, Any]:
    entry = {"asset_id": "t", "price": price, "size": size, "side": side, "best_bid": best_bid, "best_ask": best_ask}
    entry |= {"hash": more.pop("hash", f"{price}/{size}/{side}")}
    base = {"event_type": "price_change", "market": "0xm", "timestamp": "1790658661300", "price_changes": [entry]}
    return {**base, **more}


def reader_of(*tokens: str) -> PolymarketFrames:
    reader = PolymarketFrames()
    reader.follow(tokens)
    return reader


def read(reader: PolymarketFrames, frame: Any) -> Facts:
    return reader.read(orjson.dumps(frame))


def test_an_array_and_single_objects_tell_the_same() -> None:
    frames = [book({"0.4": "10"}, {"0.5": "7"}), change("0.41", "3", "BUY", "0.41", "0.5")]

    together = read(reader_of("t"), frames)
    reader = reader_of("t")
    alone = [read(reader, frame) for frame in frames]

    assert together.facts == [fact for facts in alone for fact in facts.facts]
    assert [(f.bid_ppm, f.ask_ppm, f.bid_size_contracts) for f in together.facts if isinstance(f, Top)] == [
        (400_000, 500_000, 10.0),
        (410_000, 500_000, 3.0),
    ]


def test_a_change_below_the_top_tells_nothing_but_that_the_token_lives() -> None:
    reader = reader_of("t")
    read(reader, book({"0.4": "10"}, {"0.5": "7"}))

    facts = read(reader, change("0.3", "100", "BUY", "0.4", "0.5"))

    assert (facts.facts, facts.heard, dict(facts.left_out)) == ([], ["t"], {"top_unchanged": 1})


def test_a_frame_that_comes_twice_tells_once() -> None:
    reader = reader_of("t")
    read(reader, book({"0.4": "10"}, {"0.5": "7"}))
    frame = change("0.42", "1", "BUY", "0.42", "0.5")

    assert len(read(reader, frame).facts) == 1
    again = read(reader, frame)

    assert (again.facts, dict(again.left_out)) == ([], {"delivered_twice": 1})


def test_a_trade_that_comes_twice_tells_once_and_another_of_the_same_transaction_tells_too() -> None:
    reader = reader_of("t")
    trade = {
        "event_type": "last_trade_price", "market": "0xm", "asset_id": "t", "price": "0.5", "size": "10",
        "side": "BUY", "timestamp": "1790658661234", "transaction_hash": "0xabc",
    }  # fmt: skip

    told = [read(reader, frame).facts for frame in (trade, trade, {**trade, "price": "0.51"})]

    assert [len(facts) for facts in told] == [1, 0, 1]
    assert isinstance(told[0][0], Traded)


def test_a_missed_message_shows_as_a_doubt_and_the_venues_top_is_told_all_the_same() -> None:
    reader = reader_of("t")
    read(reader, book({"0.4": "10"}, {"0.5": "7"}))

    facts = read(reader, change("0.3", "1", "BUY", "0.45", "0.5"))  # who put 0.45 there, we were not told

    assert facts.doubts == ["t"]
    [top] = facts.facts
    assert isinstance(top, Top)
    assert (top.bid_ppm, top.bid_size_contracts) == (450_000, None)


def test_a_book_anew_replaces_the_old_one_and_is_an_opening_one_only_after_subscribing() -> None:
    reader = reader_of("t")
    first = read(reader, book({"0.4": "10"}, {"0.5": "7"}))
    refresh = read(reader, book({"0.41": "10"}, {"0.5": "7"}))
    reader.follow(["t"])
    again = read(reader, book({"0.41": "10"}, {"0.5": "7"}))

    assert [f.opened for f in (first, refresh, again)] == [["t"], [], ["t"]]
    assert [len(f.facts) for f in (first, refresh, again)] == [1, 1, 1]
    [top] = first.facts
    assert isinstance(top, Top)
    assert top.opening


def test_the_last_trade_of_a_book_can_be_the_other_outcomes_and_is_not_taken() -> None:
    # As a real frame of 2026-02-12 has it.
    [top] = read(reader_of("t"), book({"0.996": "10"}, {"0.997": "7"}, last_trade_price="0.003")).facts

    assert isinstance(top, Top)
    assert (top.bid_ppm, top.ask_ppm, top.last_ppm) == (996_000, 997_000, None)


def test_an_emptied_book_has_no_sides() -> None:
    reader = reader_of("t")
    read(reader, book({"0.4": "10"}, {"0.5": "7"}))
    read(reader, change("0.4", "0", "BUY", "0", "0.5"))

    [top] = read(reader, change("0.5", "0", "SELL", "0", "1")).facts

    assert isinstance(top, Top)
    assert (top.bid_ppm, top.ask_ppm) == (None, None)


def test_a_token_that_is_not_ours_is_counted_and_costs_nothing() -> None:
    facts = read(reader_of("other"), [book({}, {}), change("0.4", "1", "BUY", "0.4", "1")])

    assert (facts.facts, facts.bad, dict(facts.left_out)) == ([], [], {"other_token": 2})


def test_what_is_broken_costs_its_item_and_no_other() -> None:
    broken = [
        {"event_type": "price_change"},
        {"event_type": "book", "asset_id": "t", "timestamp": "x", "bids": [], "asks": []},
        {"event_type": ["odd"]},
        7,
        change("1.4", "1", "BUY", "0.4", "0.5"),
        change("0.4", "nan", "BUY", "0.4", "0.5"),
        {"event_type": "never_heard_of", "x": 1},
    ]

    facts = read(reader_of("t"), [*broken, book({"0.4": "10"}, {"0.5": "7"})])

    assert len(facts.facts) == 1
    assert len(facts.bad) == 6
    assert facts.left_out["unknown_event"] == 1


@pytest.mark.parametrize("body", [b"", b"INVALID OPERATION", b"[{", b"\xff\xfe", b"null", b'"text"', b"1e999990"])
def test_what_is_no_json_object_is_refused(body: bytes) -> None:
    facts = reader_of("t").read(body)

    assert facts.facts == []
    assert len(facts.bad) == 1


def test_an_announced_market_and_a_result_are_news_to_look_up() -> None:
    reader = reader_of()
    told = [fact for body in frames_of(made("polymarket") / "ws_news.jsonl") for fact in reader.read(body).facts]

    assert [(fact.word, fact.market[-2:]) for fact in told if isinstance(fact, News)] == [
        ("listed", "32"),
        ("ended", "33"),
    ]
