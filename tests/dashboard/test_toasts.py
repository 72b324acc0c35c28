"""What is worth a pop-up, as a table of cases; and the reader of the topic when Kafka is away."""

from __future__ import annotations

from dataclasses import replace

import pytest

from dashboard.toasts import BURST_US, AlertFeed, Shown, Wanted, plan
from kernel.settings import KafkaSettings
from schemas.events import Alert
from schemas.words import EpisodeState
from tests.stack.ports import free_port
from tests.stack.waiting import wait_until

_T0 = 1_790_000_000_000_000

BASE = Alert(
    event_id="e" * 24,
    alert_id="a" * 24,
    state="confirmed",
    kind="move",
    venue="kalshi",
    market_id="KALSHI:A",
    token_id="KALSHI:A:YES",
    ts_event_us=_T0,
    ts_received_us=_T0,
    title="Will it happen?",
    category="world",
    url="",
    window_s=300,
    direction="up",
    opened_at_us=_T0,
    price_ppm=400_000,
    price_then_ppm=280_000,
    move_pp=12.0,
    peak_move_pp=12.0,
    threshold_pp=10.0,
    computed_across_gap=False,
    rule_version="v1",
)


def _alert(
    market: str = "A", window_s: int = 300, move_pp: float = 12.0, state: EpisodeState = "confirmed", s: int = 0
) -> Alert:
    return replace(
        BASE,
        market_id=f"KALSHI:{market}",
        window_s=window_s,
        move_pp=move_pp,
        peak_move_pp=move_pp,
        direction="up" if move_pp > 0 else "down",
        state=state,
        ts_event_us=_T0 + s * 1_000_000,
    )


CASES: dict[str, tuple[list[Alert], list[tuple[str, int, int]], int]] = {
    # name: alerts, expected (market, window_s, more windows), hidden
    "nothing new": ([], [], 0),
    "three rules see one jump: the shortest window, once": (
        [_alert(window_s=3600), _alert(window_s=300), _alert(window_s=900)],
        [("KALSHI:A", 300, 2)],
        0,
    ),
    "up and down are two stories": (
        [_alert(move_pp=12.0), _alert(move_pp=-15.0)],
        [("KALSHI:A", 300, 0), ("KALSHI:A", 300, 0)],
        0,
    ),
    "closed is no news": ([_alert(state="closed")], [], 0),
    "detected is not told before it is confirmed": ([_alert(state="detected")], [], 0),
    "an episode of three windows is one pop-up": (
        [replace(_alert(), windows_s=(300, 900, 3600))],
        [("KALSHI:A", 300, 2)],
        0,
    ),
    "a settlement does not shout": ([replace(_alert(), kind="settlement")], [], 0),
    "a move across a gap does not shout": ([replace(_alert(), kind="across_gap")], [], 0),
    "largest three are shown, the rest is counted": (
        [
            _alert(market=name, move_pp=move)
            for name, move in zip("ABCDE", (11.0, -30.0, 12.0, 20.0, 13.0), strict=True)
        ],
        [("KALSHI:B", 300, 0), ("KALSHI:D", 300, 0), ("KALSHI:E", 300, 0)],
        2,
    ),
    "markets of one event are one pop-up, the one that moved furthest": (
        [
            replace(_alert(market=name, move_pp=move), event_key="E")
            for name, move in zip("ABC", (11, 14, 12), strict=True)
        ]
        + [replace(_alert(market="B", window_s=900), event_key="E"), replace(_alert(market="D"), event_key="F")],
        [("KALSHI:B", 300, 1), ("KALSHI:D", 300, 0)],
        0,
    ),
    "confirmed and grown at once is one pop-up": (
        [_alert(), _alert(move_pp=19.0, state="escalated", s=4)],
        [("KALSHI:A", 300, 0)],
        0,
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_plan(name: str) -> None:
    alerts, expected, hidden = CASES[name]

    result = plan(alerts, {})

    assert [(t.alert.market_id, t.alert.window_s, t.more_windows) for t in result.toasts] == expected
    assert result.hidden == hidden


FOLLOW_UPS: dict[str, tuple[Alert, bool]] = {
    "a longer window of the same jump is silent": (_alert(window_s=900, s=20), False),
    "it grew, yet not by half: silent": (_alert(move_pp=17.0, state="escalated", s=20), False),
    "it grew by half: news": (_alert(move_pp=18.5, state="escalated", s=20), True),
    "the other direction is news": (_alert(move_pp=-12.0, s=20), True),
    "another market is news": (_alert(market="B", s=20), True),
    "another market of the event is the same news": (replace(_alert(market="B", s=20), event_key="E"), False),
    "another one of it, by half further: news": (replace(_alert(market="B", move_pp=18.5, s=20), event_key="E"), True),
    "one of another event is news": (replace(_alert(market="B", s=20), event_key="F"), True),
    "long after is news": (_alert(s=BURST_US // 1_000_000 + 1), True),
}


@pytest.mark.parametrize("name", FOLLOW_UPS)
def test_after_a_first_pop_up(name: str) -> None:
    follow_up, is_news = FOLLOW_UPS[name]
    shown: Shown = {}
    assert len(plan([replace(_alert(), event_key=follow_up.event_key and "E")], shown).toasts) == 1

    assert bool(plan([follow_up], shown).toasts) is is_news


def test_a_page_that_stays_open_for_weeks_remembers_the_pop_ups_of_the_last_half_hour() -> None:
    shown: Shown = {}

    for minute in range(60 * 24 * 7):
        plan([_alert(market=f"{minute}", s=60 * minute)], shown)

    assert len(shown) == 2 * BURST_US // 60_000_000 + 1
    assert plan([_alert(market=f"{minute}", s=60 * minute + 1)], shown).toasts == ()


def test_newest_state_of_the_shortest_window_is_shown() -> None:
    result = plan([_alert(), _alert(move_pp=19.0, state="escalated", s=4)], {})

    assert result.toasts[0].alert.move_pp == 19.0


def test_a_page_that_slept_is_told_with_a_move_how_it_ended() -> None:
    gone = replace(_alert(s=60), state="closed", close_reason="reversed")
    of_another = replace(gone, alert_id="b" * 24)

    assert plan([_alert(), gone], {}).toasts[0].ended == gone
    assert plan([_alert(), of_another], {}).toasts[0].ended is None
    assert Wanted(least_pp=10.0).takes(replace(gone, move_pp=1.0))  # or who wants large moves alone is not told


def test_feed_without_kafka_says_away_and_closes() -> None:
    feed = AlertFeed(
        KafkaSettings(
            kafka_bootstrap_servers=f"127.0.0.1:{free_port()}", schema_registry_url=f"http://127.0.0.1:{free_port()}"
        )
    )
    try:
        wait_until(lambda: feed.state == "away", "the feed knows that Kafka is away")

        assert feed.since(feed.newest()) == ([], 0)
    finally:
        feed.close()
    assert not feed.is_alive()


@pytest.mark.parametrize(
    ("wanted", "is_told"),
    [
        (Wanted(), True),
        (Wanted(is_on=False), False),
        (Wanted(venues=("kalshi", "polymarket")), True),
        (Wanted(venues=("polymarket",)), False),
        (Wanted(categories=("world",)), True),
        (Wanted(categories=("sports",)), False),
        (Wanted(least_pp=12.0), True),
        (Wanted(least_pp=12.1), False),
        (Wanted(muted=("IT HAPPEN",)), False),
        (Wanted(muted=("great election",)), False),
        (Wanted(muted=("nothing of it", "happen?")), False),
        (Wanted(muted=("elsewhere",)), True),
    ],
)
def test_a_reader_is_told_of_what_he_wants(wanted: Wanted, is_told: bool) -> None:
    falls = replace(BASE, move_pp=-12.0, event_title="The Great Election")

    assert wanted.takes(falls) is is_told
