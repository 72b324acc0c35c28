from __future__ import annotations

import pytest

from processors.analytics.rules import Rule
from processors.analytics.windows import WindowPlan
from processors.backtest import Backtest, longest_silence_us, with_sweeps
from schemas.units import US_PER_S
from tests.processors.ticks import START_US, make_tick


def seconds(us: int) -> float:
    return (us - START_US) / US_PER_S


def test_a_quiet_market_is_swept_each_minute_until_it_ends() -> None:
    tape = [
        make_tick(0, 400_000, source="stream"),
        make_tick(30, 500_000, source="stream", market_id="KALSHI:B"),
        make_tick(100, 400_000, market_status="closed"),
        make_tick(200, 500_000, source="stream", market_id="KALSHI:B"),
    ]

    played = list(with_sweeps(tape, hole_us=10**12))

    assert [(seconds(t.ts_event_us), t.market_id[-1], t.source) for t in played] == [
        (0, "A", "stream"),
        (30, "B", "stream"),
        (60, "A", "sweep"),
        (90, "B", "sweep"),
        (100, "A", "sweep"),
        (150, "B", "sweep"),
        (200, "B", "stream"),
    ]
    assert {t.heartbeat_s for t in played} == {60}


def test_a_venues_figure_of_an_earlier_price_is_neither_swept_nor_promises_anything() -> None:
    tape = [make_tick(-3600, 300_000, source="backfill", heartbeat_s=0), make_tick(0, 400_000), make_tick(70, 400_000)]

    played = list(with_sweeps(tape, hole_us=10**12))

    assert [(seconds(t.ts_event_us), t.heartbeat_s) for t in played] == [(-3600, 0), (0, 60), (60, 60), (70, 60)]


def test_a_figure_of_a_market_that_was_seen_before_is_late_as_live() -> None:
    tape = [make_tick(0, 400_000), make_tick(30, 300_000, source="backfill", heartbeat_s=0), make_tick(50, 400_000)]

    assert [seconds(t.ts_event_us) for t in with_sweeps(tape, hole_us=10**12)] == [0, 50]


def test_over_a_silence_of_the_whole_tape_nothing_is_swept() -> None:
    tape = [make_tick(0, 400_000), make_tick(10, 1, market_id="KALSHI:B"), make_tick(5000, 400_000)]

    played = list(with_sweeps([*tape, make_tick(5070, 1)], hole_us=300 * US_PER_S))

    assert [(seconds(t.ts_event_us), t.market_id[-1]) for t in played] == [
        (0, "A"),
        (10, "B"),
        (5000, "A"),
        (5060, "A"),
        (5070, "A"),
    ]


@pytest.mark.parametrize(
    ("moments_s", "hole_s"),
    [
        ((), 300),
        ((5,), 300),
        (range(0, 100, 5), 300),
        (range(0, 6000, 60), 1200),
        ((0, 60, 36_060), 1200),
        ((0, 10**6), 7200),
    ],
)
def test_a_hole_is_a_silence_that_the_tapes_rhythm_does_not_explain(moments_s: range, hole_s: int) -> None:
    assert longest_silence_us(s * US_PER_S for s in moments_s) == hole_s * US_PER_S


def test_an_episode_is_recorded_with_its_stages_and_grades() -> None:
    backtest = Backtest(WindowPlan((300, 900)), [Rule(min_volume_24h_usd=0)])
    tape = [make_tick(s, 400_000 if s < 600 else 500_000) for s in range(0, 2400, 20)]

    for tick in with_sweeps(tape, hole_us=10**12):
        backtest.take(tick)
    (record,) = backtest.finish()

    assert (seconds(record.detected_us), seconds(record.confirmed_us or 0)) == (600, 660)
    assert (record.windows_s, record.move_pp, record.kind) == ((300,), 10.0, "move")
    assert (record.grades[60], record.grades[900], 3600 in record.grades) == (1.0, 1.0, False)
    assert seconds(record.closed_us or 0) == 900


def test_an_episode_stands_under_the_severity_that_was_told_first() -> None:
    """As the store grades it: what became severe because it went on is not counted among the severe that went on."""
    backtest = Backtest(WindowPlan((300, 900)), [Rule(min_volume_24h_usd=0)])
    prices = [(600, 400_000), (680, 500_000), (2400, 560_000)]
    tape = [
        make_tick(s, next(ppm for until_s, ppm in prices if s < until_s), volume_24h_usd=200_000.0)
        for s in range(0, 2400, 20)
    ]

    for tick in with_sweeps(tape, hole_us=10**12):
        backtest.take(tick)
    (record,) = backtest.finish()

    assert record.escalated_us
    assert (record.severity, record.peak_pp) == ("low", 16.0)


def test_an_episode_that_is_open_at_the_end_has_gone_as_far_as_its_price_not_as_it_was_told() -> None:
    """It had the peak of its last message: 8 points of an episode that went 11 and was never told of again."""
    quotes = [(0, 400_000), (330, 480_000), (400, 510_000), (410, 490_000)]
    backtest = Backtest(WindowPlan((300, 900)), [Rule(min_volume_24h_usd=0)])
    for tick in with_sweeps([make_tick(at_s, price_ppm) for at_s, price_ppm in quotes], hole_us=10**12):
        backtest.take(tick)

    (record,) = backtest.finish()

    assert record.confirmed_us is not None
    assert record.closed_us is None
    assert record.peak_pp == 11.0
