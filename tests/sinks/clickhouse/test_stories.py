from __future__ import annotations

from dataclasses import replace

import pytest

from schemas.events import Alert
from schemas.units import US_PER_S, event_id
from sinks.clickhouse import rows as to
from sinks.clickhouse.store import Store
from tests.sinks.events import NOON_US, a_market, an_alert

pytestmark = pytest.mark.stack


def an_episode(market_id: str, at_s: int) -> Alert:
    at_us = NOON_US + at_s * US_PER_S
    alert_id = event_id(market_id, at_us)
    return an_alert(alert_id=alert_id, event_id=alert_id, market_id=market_id, ts_event_us=at_us, opened_at_us=at_us)


def test_markets_of_one_event_that_move_together_are_one_story_with_its_parts(store: Store) -> None:
    base = a_market()
    facts = [replace(base, market_id=f"M{i}", event_key="E", event_title="The event") for i in range(20)]
    facts.append(replace(base, market_id="alone", event_key="", event_title=""))
    store.insert(to.MARKETS, [to.market_row(market) for market in facts], "markets")
    together = [an_episode(f"M{i}", i * 30) for i in range(20)]
    later = [an_episode("M3", 19 * 30 + 901)]
    alone = [an_episode("alone", 10), an_episode("unknown", 11)]
    store.insert(to.ALERTS, [to.alert_row(alert) for alert in [*together, *later, *alone]], "alerts")

    stories = store.rows(
        "SELECT event_key, lead_market_id, markets, length(alert_ids) FROM alert_stories ORDER BY started_at, event_key"
    )

    assert list(map(tuple, stories)) == [
        ("E", "M0", 20, 20),
        ("alone", "alone", 1, 1),
        ("unknown", "unknown", 1, 1),
        ("E", "M3", 1, 1),
    ]
