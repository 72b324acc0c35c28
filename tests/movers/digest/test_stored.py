"""A digest out of the real store."""

from __future__ import annotations

from typing import Any

import pytest

from kernel.errors import UserError
from kernel.settings import ClickHouseSettings, Settings
from movers.digest import stored
from movers.digest.summary import Digest
from schemas.events import Alert
from schemas.units import US_PER_S, datetime_from_micros, event_id
from schemas.words import EpisodeState
from sinks.clickhouse import rows as to
from sinks.clickhouse.store import Store
from tests.sinks.events import NOON_US, a_market, a_status, a_tick, an_alert

pytestmark = pytest.mark.stack

HOUR_US = 3600 * US_PER_S


def digest(database: ClickHouseSettings, hours: int = 24, category: str = "") -> Digest:
    port, name = database.clickhouse_port, database.clickhouse_database
    return stored.digest(Settings({"CLICKHOUSE_PORT": str(port), "CLICKHOUSE_DATABASE": name}), hours, category)


def told(market_id: str, at_us: int, *states: EpisodeState, **changes: Any) -> list[Alert]:
    """An episode's messages, a minute apart; after what was detected."""
    alert_id = event_id(market_id, at_us)
    return [
        an_alert(
            **{
                "alert_id": alert_id,
                "event_id": event_id(alert_id, state),
                "market_id": market_id,
                "state": state,
                "opened_at_us": at_us,
                "ts_event_us": at_us + number * 60 * US_PER_S,
                **changes,
            }
        )
        for number, state in enumerate(("detected", *states))
    ]


@pytest.fixture
def days_of_ticks(store: Store) -> None:
    """A tick of each hour of eight days up to noon, so that all of them count."""
    ticks = [a_tick("T", NOON_US - hour * HOUR_US) for hour in range(24 * 8 + 1)]
    store.insert(to.SNAPSHOTS, [to.tick_row(tick, 0, i) for i, tick in enumerate(ticks)], "ticks")


def test_what_moved_is_told_with_its_event_its_grade_and_how_it_settled(
    database: ClickHouseSettings, store: Store, days_of_ticks: None
) -> None:
    markets = [a_market(market_id=m, event_key="E", event_title="The vote") for m in ("A", "B")]
    store.insert(to.MARKETS, [to.market_row(market) for market in markets], "markets")
    alerts = [
        *told("A", NOON_US - 2 * HOUR_US, "confirmed", "closed", peak_move_pp=-9.0, title="Yes to it?"),
        *told("B", NOON_US - HOUR_US, "confirmed", peak_move_pp=8.0),
        *told("C", NOON_US - HOUR_US, "reverted"),
        *told("D", NOON_US - HOUR_US, "confirmed", kind="settlement"),
    ]
    store.insert(to.ALERTS, [to.alert_row(alert) for alert in alerts], "alerts")
    grades = to.Table("alert_grades", ("alert_id", "horizon_s", "due", "kept", "result"))
    graded = [(300, 0.9, None), (3600, 0.7, "yes"), (86_400, None, None)]
    rows = [(alerts[0].alert_id, horizon_s, NOON_US, kept, result) for horizon_s, kept, result in graded]
    store.insert(grades, rows, "grades")

    said = digest(database)

    assert said.episodes == {"confirmed": 2, "reverted": 1, "undecided": 0}
    (line,) = said.told
    episode = line.episode
    assert (episode.market_id, episode.event_title, episode.title) == ("A", "The vote", "Yes to it?")
    assert (episode.peak_move_pp, episode.price_then, episode.price_now) == (-9.0, 0.45, 0.6)
    assert (episode.kept, episode.graded_after_s, episode.result) == (0.7, 3600, "yes")
    assert episode.opened_at == datetime_from_micros(NOON_US - 2 * HOUR_US)
    assert line.more_markets == 1


def test_the_days_before_are_counted_to_the_newest_tick(
    database: ClickHouseSettings, store: Store, days_of_ticks: None
) -> None:
    at = {"A": 2, "B": 25, "C": 26, "D": 50, "E": 24 * 8 + 1}
    alerts = [alert for name, hours in at.items() for alert in told(name, NOON_US - hours * HOUR_US, "confirmed")]
    store.insert(to.ALERTS, [to.alert_row(alert) for alert in alerts], "alerts")

    said = digest(database)

    assert said.ends_at == datetime_from_micros(NOON_US)
    assert (len(said.told), said.before, said.much) == (1, (2, 1, 0, 0, 0, 0, 0), "usual")


def test_a_category_is_told_alone(database: ClickHouseSettings, store: Store, days_of_ticks: None) -> None:
    alerts = [
        *told("A", NOON_US - HOUR_US, "confirmed", category="politics"),
        *told("B", NOON_US - HOUR_US, "confirmed", category="climate"),
    ]
    store.insert(to.ALERTS, [to.alert_row(alert) for alert in alerts], "alerts")

    assert [line.episode.market_id for line in digest(database, category="politics").told] == ["A"]


def test_a_gap_of_a_feed_in_the_span_is_told(database: ClickHouseSettings, store: Store) -> None:
    store.insert(to.SNAPSHOTS, [to.tick_row(a_tick("T", NOON_US, venue="kalshi"), 0, 0)], "ticks")
    since_us = NOON_US - 3 * HOUR_US
    said = [
        a_status(event_id=f"{number:024x}", state=word, ts_event_us=at_us, gap_started_us=since_us)
        for number, (word, at_us) in enumerate([("gap_opened", since_us), ("gap_closed", NOON_US - 2 * HOUR_US)])
    ]
    store.insert(to.FEED_STATUS, [to.feed_status_row(status) for status in said], "said")

    (gap,) = digest(database).gaps

    assert (gap.venue, gap.started_at) == ("kalshi", datetime_from_micros(since_us))
    assert gap.ended_at == datetime_from_micros(NOON_US - 2 * HOUR_US)


def test_an_empty_store_says_so_in_one_line(database: ClickHouseSettings) -> None:
    with pytest.raises(UserError, match="keeps no ticks yet"):
        digest(database)
