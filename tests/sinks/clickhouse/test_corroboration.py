"""Who went along with an alert, asked of the store."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from uuid import uuid4

import pytest

from kernel.settings import ClickHouseSettings
from schemas.events import Market
from schemas.units import US_PER_S, event_id
from sinks.clickhouse import corroboration
from sinks.clickhouse import rows as to
from sinks.clickhouse.corroboration import Corroboration
from sinks.clickhouse.migrate import migrate
from sinks.clickhouse.store import Store
from tests.sinks.events import NOON_US, a_market, a_tick, an_alert

pytestmark = pytest.mark.stack

HOUR_S = 3600
OVER_S = 961
"""Seconds after which an alert's quarter of an hour is over, ticks on their way included."""

Mids = Mapping[str, Sequence[tuple[int, int]]]
"""Of each market: seconds from the alert, and the mid in points."""


class World:
    """Markets of one test in a store that all tests of this file share: no other test's are of its events or pairs."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self._own = uuid4().hex[:12]

    def id(self, market: str) -> str:
        return f"{self._own}:{market}"

    def list_event(self, *siblings: str, exclusive: bool, key: str = "E") -> None:
        self.list(*(self._facts(m, event_key=self.id(key), mutually_exclusive=exclusive) for m in ("OWN", *siblings)))

    def list(self, *facts: Market) -> None:
        self.store.insert(to.MARKETS, [to.market_row(market) for market in facts], uuid4().hex)
        self.store.insert(to.MARKET_TOKENS, [r for m in facts for r in to.market_token_rows(m)], uuid4().hex)

    def list_one(self, market: str, key: str, **changes: object) -> None:
        self.list(self._facts(market, event_key=self.id(key), **changes))

    def _facts(self, market: str, **changes: object) -> Market:
        tokens = f"{self.id(market)}:Y", f"{self.id(market)}:N"
        return a_market(market_id=self.id(market), token_ids=tokens, **changes)

    def pair(self, other: str) -> None:
        self.store.command(
            "INSERT INTO market_pairs (market_a, market_b, verdict) VALUES (%(a)s, %(b)s, 'confirmed')",
            {"a": self.id("OWN"), "b": self.id(other)},
        )
        self.list_one(other, f"event of {other}")

    def tell(self, **changes: object) -> None:
        """Market OWN rose from 40 to 50 within a quarter of an hour, told at noon."""
        values = {
            "alert_id": event_id(self.id("alert")),
            "event_id": event_id(self.id("alert"), "detected"),
            "market_id": self.id("OWN"),
            "token_id": self.id("OWN:Y"),
            "price_then_ppm": 400_000,
            "price_ppm": 500_000,
        }
        self.store.insert(to.ALERTS, [to.alert_row(an_alert(**{**values, **changes}))], uuid4().hex)

    def quote(self, mids: Mids, **changes: object) -> None:
        ticks = [
            a_tick(
                self.id(f"{market}:Y"), NOON_US + at_s * US_PER_S,
                **{"market_id": self.id(market), "price_ppm": pp * 10_000, **changes},
            )
            for market, points in mids.items()
            for at_s, pp in points
        ]  # fmt: skip
        self.store.insert(to.SNAPSHOTS, [to.tick_row(tick, 0, i) for i, tick in enumerate(ticks)], uuid4().hex)

    def looked(self, after_s: int, *, other_s: int | None = None) -> tuple[object, ...] | None:
        """Siblings, other venue, seconds and whether it is final, as a look says it; None while it says nothing.
        `other_s`: how far the other venue has come, if not as far."""
        arrived_s = {"kalshi": after_s, "polymarket": after_s if other_s is None else other_s}
        assert Corroboration(self.store).advance({venue: NOON_US + s * US_PER_S for venue, s in arrived_s.items()})
        rows = self.store.rows(
            "SELECT siblings, other_venue, other_after_s, is_final FROM alert_corroboration FINAL "
            "WHERE alert_id = %(alert)s",
            {"alert": event_id(self.id("alert"))},
        )
        return tuple(rows[0]) if rows else None


@pytest.fixture(scope="module")
def shared_store(warehouse_port: int) -> Iterator[Store]:
    database = ClickHouseSettings(clickhouse_port=warehouse_port, clickhouse_database=f"test_{uuid4().hex}")
    migrate(database)
    store = Store(database)
    yield store
    store.close()


@pytest.fixture
def world(shared_store: Store) -> World:
    return World(shared_store)


@pytest.mark.parametrize(
    ("mids", "siblings"),
    [
        ({"B": [(-1800, 40), (30, 36)], "C": [(-1800, 20), (50, 18)]}, True),
        ({"B": [(-1800, 40), (30, 37)], "C": [(-1800, 20), (890, 18)]}, True),
        ({"B": [(-1800, 40), (30, 37)], "C": [(-1800, 20), (50, 19)]}, False),
        ({"B": [(-1800, 40), (30, 45)], "C": [(-1800, 20), (50, 25)]}, False),
        ({"B": [(-1800, 40), (30, 35)], "C": []}, True),
        ({"B": [(-1800, 40), (30, 37)], "C": []}, None),
        ({"B": [(-1800, 40), (30, 40)], "C": [(-1800, 20)]}, None),
        ({"B": [(-1800, 40), (30, 40)], "C": [(-3 * HOUR_S, 20), (30, 20)]}, None),
    ],
    ids=[
        "half of it is paid by both",
        "within the quarter of an hour",
        "too little",
        "the same way",
        "half is paid by one",
        "one has no price",
        "one was not heard since",
        "one's price before is too old",
    ],
)
def test_where_only_one_market_can_win_the_others_pay_for_a_rise(
    world: World, mids: Mids, siblings: bool | None
) -> None:
    world.list_event("B", "C", exclusive=True)
    world.tell()
    world.quote(mids)

    assert world.looked(OVER_S) == (siblings, None, None, True)


@pytest.mark.parametrize(
    ("mids", "siblings"),
    [
        ({"B": [(-1800, 40), (30, 45)]}, True),
        ({"B": [(-1800, 40), (30, 35)]}, True),
        ({"B": [(-1800, 40), (30, 44)], "C": [(-1800, 20), (30, 24)]}, None),
        ({"B": [(-1800, 40), (930, 45)]}, None),
    ],
)
def test_where_several_markets_can_win_one_that_goes_along_speaks_for_it_and_standing_still_means_nothing(
    world: World, mids: Mids, siblings: bool | None
) -> None:
    world.list_event("B", "C", exclusive=False)
    world.tell()
    world.quote(mids)

    assert world.looked(OVER_S) == (siblings, None, None, True)


def test_markets_of_other_events_ended_ones_last_trades_and_a_venues_own_figures_are_no_siblings_moves(
    world: World,
) -> None:
    world.list_event("B", exclusive=False)
    world.list_one("D", "another event")
    world.list_one("E", "E", status="settled")
    world.tell()
    world.quote({"D": [(-1800, 40), (30, 60)], "E": [(-1800, 40), (30, 99)], "B": [(-1800, 40)]})
    world.quote({"B": [(20, 60)]}, price_basis="last")
    world.quote({"B": [(30, 60)]}, source="backfill")

    assert world.looked(OVER_S) == (None, None, None, True)


@pytest.mark.parametrize(
    ("mids", "other_venue", "after_s"),
    [
        ([(-1800, 42), (34, 47)], True, 34.0),
        ([(-1800, 42), (-600, 46), (-500, 47), (10, 52)], True, -500.0),
        ([(-1800, 42), (30, 46)], False, None),
        ([(-1800, 42), (30, 37)], False, None),
        ([(-1800, 42), (901, 52)], None, None),
        ([(-1800, 42)], None, None),
        ([(-100, 42), (30, 47)], True, 30.0),
        ([(1, 47)], None, None),
    ],
    ids=[
        "it followed",
        "it was first",
        "too little",
        "the other way",
        "too late and not heard before",
        "not heard since",
        "first known just before",
        "not known before",
    ],
)
def test_the_other_venue_agrees_when_it_goes_half_as_far_the_same_way(
    world: World, mids: Sequence[tuple[int, int]], other_venue: bool | None, after_s: float | None
) -> None:
    world.pair("THERE")
    world.tell()
    world.quote({"THERE": mids})

    assert world.looked(OVER_S) == (None, other_venue, after_s, True)


@pytest.mark.parametrize(("other_s", "other_venue"), [(899, None), (900, False)])
def test_nothing_is_held_against_an_alert_by_a_venue_that_is_behind(
    world: World, other_s: int, other_venue: bool | None
) -> None:
    """Kafka is out of reach of its collector: what it did is told later."""
    world.pair("THERE")
    world.tell()
    world.quote({"THERE": [(-1800, 40), (5, 41)]})

    assert world.looked(OVER_S, other_s=other_s) == (None, other_venue, None, True)


def test_a_fall_is_answered_by_a_fall(world: World) -> None:
    world.pair("THERE")
    world.tell(direction="down", price_then_ppm=500_000, price_ppm=400_000)
    world.quote({"THERE": [(-1800, 52), (5, 47)]})

    assert world.looked(OVER_S) == (None, True, 5.0, True)


def test_a_move_of_an_hour_counts_from_the_hours_begin(world: World) -> None:
    world.pair("THERE")
    world.tell(window_s=HOUR_S)
    world.quote({"THERE": [(-4000, 42), (-2400, 47), (10, 49)]})

    assert world.looked(OVER_S) == (None, True, -2400.0, True)


def test_what_is_known_is_told_each_minute_and_against_only_when_the_time_is_over(world: World) -> None:
    world.list_event("B", exclusive=True)
    world.pair("THERE")
    world.tell()
    world.quote({"B": [(-1800, 40), (55, 30)], "THERE": [(-1800, 42), (70, 43), (200, 50)]})

    assert world.looked(30) is None
    assert world.looked(90) == (True, None, None, False)
    assert world.looked(300) == (True, True, 200.0, False)
    assert world.looked(OVER_S) == (True, True, 200.0, True)


def test_what_is_final_is_not_asked_again(world: World) -> None:
    world.list_event("B", exclusive=True)
    world.tell()
    world.quote({"B": [(-1800, 40), (55, 40), (870, 40)]})
    at_first = world.looked(OVER_S)
    world.quote({"B": [(58, 30)]})

    assert at_first == (False, None, None, True)
    assert world.looked(OVER_S + 120) == at_first


def test_more_alerts_than_one_look_takes_wait_for_the_next_the_newest_first(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(corroboration, "MOST_AT_ONCE", 1)
    world, job = World(store), Corroboration(store)
    for ago_s in (30, 0, 60):
        at_us = NOON_US - ago_s * US_PER_S
        world.tell(alert_id=f"{ago_s:024}", event_id=f"{ago_s:024}", opened_at_us=at_us, ts_event_us=at_us)

    asked: list[list[str]] = []
    for minute in range(1, 4):
        job.advance({"kalshi": NOON_US + (OVER_S + 60 * minute) * US_PER_S})
        asked.append([a for (a,) in store.rows("SELECT toString(alert_id) FROM alert_corroboration ORDER BY ALL")])

    assert asked == [[f"{0:024}"], [f"{0:024}", f"{30:024}"], [f"{0:024}", f"{30:024}", f"{60:024}"]]


def test_it_looks_once_a_venue_minute(world: World) -> None:
    job = Corroboration(world.store)

    assert [job.advance({"kalshi": NOON_US + s * US_PER_S}) for s in (0, 59, 60, 119, 121)] == [
        True,
        False,
        True,
        False,
        True,
    ]


@pytest.mark.parametrize(
    "changes", [{"state": "closed"}, {"kind": "across_gap"}, {"kind": "settlement"}, {"window_s": 86_400}]
)
def test_what_is_not_shouted_or_took_a_day_is_not_asked_about(world: World, changes: dict[str, object]) -> None:
    """After an outage hundreds of such alerts come at once, and each would read a day of its event."""
    world.tell(**changes)

    assert world.looked(OVER_S) is None
