"""From the first minute: what a venue says of the time before we watched, from its row to the windows of a move."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import orjson
import pytest

from kernel.errors import BadMessageError
from processors.analytics.moves import update
from processors.analytics.windows import History, WindowPlan
from producers.base import Errand, Page, Reader, Received
from producers.intake import Intake, Tally
from producers.kalshi.reader import KalshiReader
from producers.polymarket.reader import PolymarketReader
from producers.shards import Shard
from producers.tracked import Told, Tracked
from producers.venue_clock import VenueClock
from schemas.events import Market, Move, Tick, WindowMove
from schemas.units import US_PER_S, micros_from_iso
from tests.producers.rows import gamma, kalshi

NOW_US = micros_from_iso("2026-07-20T12:00:00Z")
HOUR_S, DAY_S = 3_600, 86_400
PLAN = WindowPlan((300, HOUR_S, DAY_S))
READERS: dict[str, type[Reader]] = {"polymarket": PolymarketReader, "kalshi": KalshiReader}


@dataclass
class Kept:
    """What an intake told."""

    ticks: list[Tick] = field(default_factory=list)
    markets: list[Market] = field(default_factory=list)
    bad: list[BadMessageError] = field(default_factory=list)

    def market(self, market: Market) -> None:
        """A market's metadata."""
        self.markets.append(market)

    def tick(self, tick: Tick, category: str) -> None:
        """A quote."""
        self.ticks.append(tick)

    def refused(self, error: BadMessageError, channel: str) -> None:
        """Something unusable."""
        self.bad.append(error)


class Venue:
    """One venue's intake, shown rows at seconds after `NOW_US`."""

    def __init__(self, name: str) -> None:
        self.out, self.tracked, self.reader = Kept(), Tracked(), READERS[name]()
        self._intake = Intake(Shard(name), self.reader, self.tracked, VenueClock(5.0, NOW_US), self.out)

    def show(self, row: dict[str, Any], at_s: float = 0.0) -> None:
        """A sweep's page of one row."""
        now_us = NOW_US + round(at_s * US_PER_S)
        received = Received(
            errand=Errand("sweep", 15),
            channel="/markets",
            connection_id="a",
            sequence=0,
            body=orjson.dumps([row]),
            ts_received_us=now_us,
            status=200,
            date_us=now_us,
        )
        self._intake.take(Page(received=received, kind="markets", rows=[row]), Tally())

    def told(self) -> list[tuple[str, int, int | None]]:
        """Source, seconds after `NOW_US` and price of each tick."""
        return [(t.source, round((t.ts_event_us - NOW_US) / US_PER_S), t.price_ppm) for t in self.out.ticks]


def moves_of(ticks: list[Tick]) -> list[Move]:
    """What the processor makes of ticks, its history stored and read back after each."""
    history: History | None = None
    moves = []
    for tick in ticks:
        history, move = update(history, tick, PLAN)
        moves += [] if move is None else [move]
        history = None if history is None else History.unpack(*history.pack())
    return moves


def said(window: WindowMove) -> tuple[float | None, bool, str | None, int]:
    """Move, whether it is across a gap, why there is none, and what is covered."""
    return window.move_pp, window.computed_across_gap, window.no_move, window.coverage_s


def test_the_first_row_of_a_market_fills_its_hour_and_its_day_and_nothing_shorter() -> None:
    venue = Venue("polymarket")
    for at_s in (0, 30, 59):
        venue.show(gamma(oneHourPriceChange=-0.03, oneDayPriceChange=0.11), at_s)

    moves = moves_of(venue.out.ticks)

    assert venue.told()[:3] == [("backfill", -DAY_S, 400_000), ("backfill", -HOUR_S, 540_000), ("sweep", 0, 510_000)]
    assert [m.ts_event_us for m in moves] == [NOW_US + s * US_PER_S for s in (0, 30, 59)]
    five_minutes, hour, day = moves[-1].windows
    assert said(five_minutes) == (None, False, "not_covered", 59)
    assert said(hour) == (-3.0, True, None, HOUR_S)
    assert said(day) == (11.0, True, None, DAY_S)
    assert moves[-1].standing_ppm == 510_000


def test_a_change_over_a_day_is_none_over_an_hour() -> None:
    venue = Venue("kalshi")
    previous = {"previous_yes_bid_dollars": "0.4000", "previous_yes_ask_dollars": "0.4200"}
    for at_s in (0, 30):
        venue.show(kalshi(**previous), at_s)

    _, hour, day = moves_of(venue.out.ticks)[-1].windows

    assert venue.told()[0] == ("backfill", -DAY_S, 410_000)
    assert said(hour) == (None, False, "not_covered", 30)
    assert (day.price_then_ppm, day.computed_across_gap, day.no_move) == (410_000, True, None)


def test_an_unmoved_hour_is_a_move_of_nothing() -> None:
    venue = Venue("polymarket")
    venue.show(gamma(oneHourPriceChange=0, oneDayPriceChange=0))

    _, hour, day = moves_of(venue.out.ticks)[-1].windows

    assert (hour.move_pp, day.move_pp) == (0.0, 0.0)


def test_after_a_downtime_only_what_nobody_saw_is_told_by_the_venue() -> None:
    before = Venue("polymarket")
    before.show(gamma(oneDayPriceChange=0.11), -3 * HOUR_S)
    after = Venue("polymarket")
    after.tracked.restore(Told.of(before.out.markets[0]), None)
    after.tracked.watched_until_us = NOW_US - 3 * HOUR_S * US_PER_S
    after.show(gamma(bestBid=0.6, bestAsk=0.62, oneHourPriceChange=0.02, oneDayPriceChange=0.2))

    _, hour, day = moves_of(before.out.ticks + after.out.ticks)[-1].windows

    assert after.told() == [("backfill", -HOUR_S, 590_000), ("sweep", 0, 610_000)]
    assert (hour.move_pp, day.move_pp) == (2.0, 21.0)


def test_a_market_that_opens_again_is_told_nothing_of_before_its_end() -> None:
    venue = Venue("polymarket")
    venue.show(gamma())
    venue.show(gamma(closed=True, outcomePrices='["1", "0"]'), 60)
    assert len(venue.tracked) == 0
    venue.show(gamma(oneHourPriceChange=0.01), 2 * HOUR_S)
    venue.show(gamma(closed=True, outcomePrices='["1", "0"]'), 2 * HOUR_S + 60)
    venue.show(gamma(oneHourPriceChange=0.01), 2 * HOUR_S + 120)

    stamps = [tick.ts_event_us for tick in venue.out.ticks]

    assert stamps == sorted(stamps)
    assert [source for source, _, _ in venue.told()] == ["backfill", *["sweep"] * 2, "backfill", *["sweep"] * 3]


def test_a_short_absence_asks_nothing_of_the_venue() -> None:
    venue = Venue("polymarket")
    venue.tracked.watched_until_us = NOW_US - 60 * US_PER_S
    venue.show(gamma(oneHourPriceChange=0.02, oneDayPriceChange=0.2))

    assert venue.told() == [("sweep", 0, 510_000)]


@pytest.mark.parametrize(
    "change",
    [
        {"oneDayPriceChange": ...},
        {"oneDayPriceChange": 0.7},  # 0.51 - 0.7: of another price than the one shown
        {"oneDayPriceChange": 0.01, "startDate": "2026-07-20T11:30:00Z"},  # younger than a day
    ],
)
def test_what_the_venue_cannot_have_seen_is_not_told(change: dict[str, Any]) -> None:
    venue = Venue("polymarket")
    venue.show(gamma(**change))

    assert venue.told() == [("sweep", 0, 510_000)]


def test_an_unreadable_figure_is_a_dead_letter_and_costs_nothing_else() -> None:
    venue = Venue("polymarket")
    venue.show(gamma(oneDayPriceChange="much"))

    assert venue.told() == [("sweep", 0, 510_000)]
    assert [error.reason for error in venue.out.bad] == ["bad_price"]


def test_a_figure_that_comes_after_what_was_seen_is_late() -> None:
    venue = Venue("polymarket")
    venue.show(gamma(oneHourPriceChange=-0.03, oneDayPriceChange=0.11))
    figure, seen = venue.out.ticks[0], venue.out.ticks[-1]

    (move,) = moves_of([seen, figure])

    assert said(move.windows[-1]) == (None, False, "not_covered", 0)
