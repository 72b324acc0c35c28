"""What a start is said to have brought, and when."""

from __future__ import annotations

from dataclasses import replace

from bench.first_minutes import Start, at_share
from bench.house_ticks import house_ticks
from schemas.events import Move, WindowMove
from schemas.words import TickSource

TICK = replace(next(house_ticks(20, 1)), venue="kalshi")


def told(start: Start, market: str, source: TickSource, published_s: float) -> None:
    start.tick(replace(TICK, market_id=market, source=source), published_s)


def moved(start: Start, market: str, window_s: int, move_pp: float | None, published_s: float) -> None:
    window = WindowMove(window_s=window_s, move_pp=move_pp, coverage_s=window_s, computed_across_gap=True)
    start.move(
        Move(
            event_id="", venue="kalshi", market_id=market, token_id="", ts_event_us=1, ts_received_us=1,
            price_basis="mid", market_status="open", is_settling=False, windows=(window,),
        ),
        published_s,
    )  # fmt: skip


def test_what_the_venue_tells_of_before_is_no_tick_of_its_own() -> None:
    start = Start(100.0)
    told(start, "A", "backfill", 101.0)
    told(start, "A", "sweep", 103.0)
    told(start, "B", "stream", 102.5)
    told(start, "B", "hot", 102.0)

    found = start.told("kalshi", 2)

    assert (found["first_tick_s"], found["first_streamed_s"], found["backfilled"]) == (2.0, 2.5, 1)
    assert (found["half_of_them_s"], found["every_market_s"]) == (2.0, 3.0)


def test_what_was_published_before_the_start_does_not_count() -> None:
    start = Start(100.0)
    told(start, "A", "sweep", 99.0)

    assert start.told("kalshi", 1)["first_tick_s"] is None


def test_a_board_stands_when_it_has_nine_in_ten_of_its_markets() -> None:
    start = Start(0.0)
    for number in range(10):
        moved(start, f"M{number}", 3_600, 1.0, float(number))
    moved(start, "M0", 86_400, None, 1.0)

    found = start.told("kalshi", 10)

    assert (found["board_3600_markets"], found["board_3600_s"]) == (10, 8.0)
    assert (found["board_86400_markets"], found["board_86400_s"]) == (0, None)
    assert start.told_all == set()


def test_a_share_that_never_came_has_no_time() -> None:
    assert at_share([1.0, 2.0], 3, 1.0) is None
