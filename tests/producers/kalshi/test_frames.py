"""Kalshi's frames: each at hand, and what a reader must not be shaken by."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson
import pytest

from producers.facts import Facts, Top
from producers.kalshi.frames import KalshiFrames
from tests.payloads import file_name, folders, present
from tests.producers.frame_lines import frames_of, lines
from tests.producers.reviewed import reviewed

NAMES = (
    "ws_gap.jsonl",
    "ws_lifecycle.jsonl",
    "ws_orderbook.jsonl",
    "ws_ticker.jsonl",
    "ws_trade.jsonl",
    "ws_whole_book.jsonl",
    "ws_demo_frames_2026-08-27.jsonl",
    "ws_market_lifecycle_v2_2026-07-19.jsonl",
    "ws_old_2025-10_lifecycle_trade_ticker.jsonl",
    "ws_orderbook_stream_2026-08-07.json",
    "ws_ticker_2026-02-12.jsonl",
    "ws_ticker_2026-07-19.jsonl",
    "ws_trade_2026-02-12.jsonl",
)


def lines_of(path: Path) -> list[str]:
    """What a fixture tells."""
    return lines(KalshiFrames(), path)


@pytest.mark.parametrize("path", present("kalshi", NAMES), ids=file_name)
def test_each_frame_tells_what_was_reviewed(path: Path) -> None:
    assert lines_of(path) == reviewed("kalshi", path)


@pytest.mark.parametrize("folder", folders("kalshi"), ids=file_name)
def test_every_stream_at_hand_has_reviewed_lines(folder: Path) -> None:
    assert {path.name for path in folder.glob("ws_*")} <= set(NAMES)


@pytest.mark.parametrize(
    "path", present("kalshi", ("ws_whole_book.jsonl", "ws_orderbook_stream_2026-08-07.json")), ids=file_name
)
def test_an_order_book_stream_without_gaps_shows_no_crossed_book_and_no_doubt(path: Path) -> None:
    reader = KalshiFrames()
    tops = 0

    for frame in frames_of(path):
        facts = reader.read(frame)
        assert (facts.missed, facts.doubts, facts.bad) == ({}, [], [])
        for fact in facts.facts:
            assert isinstance(fact, Top)
            assert fact.bid_ppm is not None
            assert fact.ask_ppm is not None
            assert fact.bid_ppm < fact.ask_ppm
            assert fact.bid_size_contracts
            assert fact.ask_size_contracts
            tops += 1

    assert tops >= 12


def read(reader: KalshiFrames, *frames: dict[str, Any]) -> Facts:
    facts = Facts()
    for frame in frames:
        facts = reader.read(orjson.dumps(frame))
    return facts


SUBSCRIBED = {"type": "subscribed", "id": 1, "msg": {"channel": "orderbook_delta", "sid": 1}}


def snapshot(seq: int, yes: dict[str, str], no: dict[str, str], ticker: str = "KXA") -> dict[str, Any]:
    sides = {"yes_dollars_fp": list(yes.items()), "no_dollars_fp": list(no.items())}
    message = {
        "market_ticker": ticker,
        "market_id": "",
        "clock": 5,
        **{name: rows for name, rows in sides.items() if rows},
    }
    return {"type": "orderbook_snapshot", "sid": 1, "seq": seq, "msg": message}


def delta(seq: int, price: str, change: str, side: str, ticker: str = "KXA") -> dict[str, Any]:
    message = {"market_ticker": ticker, "price_dollars": price, "delta_fp": change, "side": side, "clock": 5 + seq}
    return {"type": "orderbook_delta", "sid": 1, "seq": seq, "msg": message | {"ts_ms": 1_787_838_983_996}}


def test_a_no_bid_is_a_yes_ask_and_a_level_that_is_taken_away_uncovers_the_next() -> None:
    reader = KalshiFrames()
    [opening] = read(reader, SUBSCRIBED, snapshot(1, {"0.4000": "10.00"}, {"0.5000": "7.50", "0.4900": "1.00"})).facts

    [after] = read(reader, delta(2, "0.5000", "-7.50", "no")).facts

    assert isinstance(opening, Top)
    assert isinstance(after, Top)
    assert (opening.bid_ppm, opening.ask_ppm, opening.ask_size_contracts) == (400_000, 500_000, 7.5)
    assert (after.ask_ppm, after.ask_size_contracts, after.order) == (510_000, 1.0, 7)


def test_a_number_that_is_left_out_is_told_and_the_books_wait_for_a_snapshot() -> None:
    reader = KalshiFrames()
    read(reader, SUBSCRIBED, snapshot(1, {"0.4000": "10.00"}, {}), snapshot(2, {"0.3000": "1.00"}, {}, "KXB"))

    gap = read(reader, delta(5, "0.4100", "3.00", "yes"))
    waiting = read(reader, delta(6, "0.4200", "3.00", "yes"))
    [again] = read(reader, snapshot(7, {"0.4200": "3.00"}, {})).facts

    assert gap.missed == {"orderbook_delta": 2}
    assert gap.doubts == ["KXA", "KXB"]
    assert (gap.facts, waiting.facts) == ([], [])
    assert waiting.left_out == {"no_snapshot_yet": 1}
    assert isinstance(again, Top)
    assert again.bid_ppm == 420_000


def test_a_change_that_comes_twice_is_made_once() -> None:
    reader = KalshiFrames()
    read(reader, SUBSCRIBED, snapshot(1, {"0.4000": "10.00", "0.3900": "1.00"}, {}))
    read(reader, delta(2, "0.4000", "-4.00", "yes"))

    late = [read(reader, delta(2, "0.4000", "-4.00", "yes")), read(reader, delta(1, "0.4000", "-4.00", "yes"))]
    [after] = read(reader, delta(3, "0.4000", "-6.00", "yes")).facts

    assert [(facts.facts, facts.doubts, facts.left_out) for facts in late] == [([], [], {"out_of_order": 1})] * 2
    assert isinstance(after, Top)
    assert after.bid_ppm == 390_000


def test_a_trade_that_comes_twice_is_told_once() -> None:
    reader = KalshiFrames()
    message = {"market_ticker": "KXA", "yes_price_dollars": "0.4000", "count_fp": "1.00", "trade_id": "a"}
    trade = {"type": "trade", "sid": 2, "seq": 1, "msg": message | {"ts_ms": 1_787_838_983_996}}
    read(reader, {"type": "subscribed", "id": 2, "msg": {"channel": "trade", "sid": 2}})

    told = [read(reader, trade).facts, read(reader, trade).facts]

    assert [len(facts) for facts in told] == [1, 0]


def test_an_old_book_that_comes_once_more_is_noticed_with_the_next_change() -> None:
    reader = KalshiFrames()
    opening = snapshot(1, {"0.4000": "10.00"}, {})
    read(reader, SUBSCRIBED, opening, delta(2, "0.4100", "3.00", "yes"), delta(3, "0.4200", "3.00", "yes"))
    read(reader, opening)

    assert read(reader, delta(4, "0.4300", "3.00", "yes")).doubts == ["KXA"]


def test_a_count_that_begins_anew_with_a_book_goes_on_from_there() -> None:
    reader = KalshiFrames()
    read(reader, SUBSCRIBED, snapshot(1, {"0.4000": "10.00"}, {}), delta(2, "0.4100", "3.00", "yes"))
    read(reader, snapshot(1, {"0.3000": "10.00"}, {}))

    [after] = read(reader, delta(2, "0.3100", "3.00", "yes")).facts

    assert isinstance(after, Top)
    assert after.bid_ppm == 310_000


def test_answers_to_commands_take_numbers_and_are_no_gap() -> None:
    reader = KalshiFrames()
    read(reader, SUBSCRIBED, snapshot(1, {"0.4000": "10.00"}, {}))

    answered = read(reader, {"type": "ok", "id": 2, "sid": 1, "seq": 2, "msg": {"market_tickers": ["KXA"]}})
    after = read(reader, delta(3, "0.4100", "3.00", "yes"))

    assert [(ack.command, ack.channel) for ack in answered.acks] == [(2, "orderbook_delta")]
    assert after.missed == {}
    assert len(after.facts) == 1


def test_a_first_message_that_is_not_number_one_was_missed_too() -> None:
    facts = read(KalshiFrames(), SUBSCRIBED, snapshot(3, {"0.4000": "10.00"}, {}))

    assert facts.missed == {"orderbook_delta": 2}


def test_a_level_below_zero_is_a_doubt() -> None:
    reader = KalshiFrames()
    read(reader, SUBSCRIBED, snapshot(1, {"0.4000": "10.00"}, {}))

    assert read(reader, delta(2, "0.4000", "-11.00", "yes")).doubts == ["KXA"]


def test_combos_are_left_out_on_every_channel() -> None:
    facts = read(KalshiFrames(), {"type": "ticker", "sid": 1, "msg": {"market_ticker": "KXMVESPORTS-1"}})

    assert (facts.facts, facts.left_out) == ([], {"combo": 1})


def test_an_error_is_an_answer_with_its_code() -> None:
    [ack] = read(KalshiFrames(), {"type": "error", "id": 3, "msg": {"code": 8, "msg": "Unknown channel name"}}).acks

    assert (ack.command, ack.code, ack.text) == (3, 8, "Unknown channel name")


def test_what_is_broken_costs_its_item_and_no_other() -> None:
    ticker = {"market_ticker": "KXA", "yes_bid_dollars": "0.4", "yes_ask_dollars": "0.5", "ts_ms": 1_787_838_983_996}
    broken: list[Any] = [
        {"type": "ticker", "sid": 1},
        {"type": "ticker", "sid": 1, "msg": ticker | {"yes_bid_dollars": "1e999"}},
        {"type": "ticker", "sid": 1, "msg": ticker | {"volume_fp": "inf"}},
        {"type": {}, "sid": 1},
        None,
        {"type": "trade", "sid": [], "seq": 1, "msg": {}},
        {"type": "surprise", "sid": 1},
    ]

    facts = KalshiFrames().read(orjson.dumps([*broken, {"type": "ticker", "sid": 1, "msg": ticker}]))

    assert len(facts.facts) == 1
    assert len(facts.bad) == 6
    assert facts.left_out == {"unknown_event": 1}
