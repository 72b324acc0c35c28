"""The audit finds what it is for: a ledger that cannot fail proves nothing."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from schemas.events import FeedStatus, Tick
from simulator.tape import Line, Market, Quote
from tests.chaos.grades import GRADES
from tests.chaos.ledger import Place, Prices, Topics, Verdict, _audit_grades, _audit_ticks, shown
from tests.chaos.trouble import OUTAGES, a_day
from tests.processors.ticks import make_tick
from tests.sinks.events import NOON_US
from tests.stack.made_tape import made_tape

SECOND = 1_000_000
TICKER = "KXA"
PLACES: dict[Place, Prices] = {
    ("KALSHI:KXA", 1 * SECOND): (400_000, 420_000, 410_000),
    ("KALSHI:KXA", 2 * SECOND): (None, 420_000, None),
}


class NoRegistry:
    """No dead letter is read in these tests."""

    def id_of(self, subject: str, schema: str) -> int:
        raise AssertionError("nobody asks")

    def by_id(self, schema_id: int) -> str:
        raise AssertionError("nobody asks")


def audited(stored: list[Place], published: list[Place], gaps: list[FeedStatus] | None = None) -> Verdict:
    ticks: list[tuple[bytes, bytes, Tick]] = [
        (b"", b"", replace(make_tick(0, None), market_id=market, ts_event_us=ts)) for market, ts in published
    ]
    rows: list[tuple[Any, ...]] = [(*place, *PLACES.get(place, (None, None, None))) for place in stored]
    verdict = Verdict()
    topics = Topics(ticks, [], [], [], gaps or [], [])
    _audit_ticks(verdict, PLACES, topics, lambda _sql: rows, NoRegistry())
    return verdict


def gap(from_us: int, to_us: int) -> FeedStatus:
    return FeedStatus(
        event_id="",
        venue="kalshi",
        shard="all",
        state="gap_closed",
        ts_event_us=to_us,
        ts_received_us=to_us,
        detail="",
        markets_tracked=0,
        markets_stale=0,
        ticks_published=0,
        bad_messages=0,
        gap_started_us=from_us,
    )


def test_all_that_was_shown_stored_once_is_good() -> None:
    assert audited(list(PLACES), list(PLACES)).good


def test_a_published_tick_that_is_not_stored_is_lost() -> None:
    first, second = PLACES

    verdict = audited([first], [first, second])

    assert (len(verdict.lost), len(verdict.doubled), len(verdict.untold)) == (1, 0, 0)


def test_a_tick_stored_twice_or_shown_by_nobody_is_doubled() -> None:
    stranger = ("KALSHI:KXA", 9 * SECOND)

    verdict = audited([*PLACES, *PLACES, stranger], list(PLACES))

    assert len(verdict.doubled) == 3
    assert not verdict.good


def test_what_was_shown_and_never_published_is_untold_unless_a_gap_tells_it() -> None:
    first, _ = PLACES

    silent = audited([first], [first])
    told = audited([first], [first], [gap(2 * SECOND, 3 * SECOND)])

    assert (len(silent.lost), len(silent.untold)) == (0, 1)
    assert told.good
    assert silent.line(3, 7) == "lost 0, doubled 0, untold 1, misjudged 0, kills 3, seed 7"


def test_a_day_whose_grades_are_not_those_of_its_alerts_is_not_good() -> None:
    verdict = Verdict()
    topics = Topics([], [], [], [], [], [])
    nobodys = ("a" * 24, 60, NOON_US, 500_000, 1.0, "low", "4-x")

    _audit_grades(verdict, topics, lambda sql: [nobodys] if sql == GRADES else [])

    assert not verdict.good
    assert verdict.line(3, 7) == "lost 0, doubled 0, untold 0, misjudged 1, kills 3, seed 7"
    assert "grades: 0 equal, 0 wrong, 0 missing, 1 of what nobody was told" in list(verdict.details())


def test_the_tape_alone_says_what_was_shown() -> None:
    lines: list[Line] = [
        Market(venue="kalshi", market=TICKER, title="A"),
        Quote(SECOND // 2, TICKER, 400_000, 420_000, last_ppm=300_000),
        Quote(2 * SECOND, TICKER, None, 420_000),
        Quote(3 * SECOND, TICKER, 100_000, 420_000),
        Quote(9 * SECOND, TICKER, 100_000, 120_000),
    ]

    assert shown(lines, {"kalshi": 3 * SECOND}) == {
        ("KALSHI:KXA", 1 * SECOND): (400_000, 420_000, 410_000),
        ("KALSHI:KXA", 2 * SECOND): (None, 420_000, 300_000),
        ("KALSHI:KXA", 3 * SECOND): (100_000, 420_000, 300_000),
    }


def test_a_seed_gives_the_same_day_and_the_same_tape() -> None:
    assert a_day(7, 20, OUTAGES, 5) == a_day(7, 20, OUTAGES, 5) != a_day(8, 20, OUTAGES, 5)
    assert made_tape(7, 4, 50) == made_tape(7, 4, 50) != made_tape(8, 4, 50)
