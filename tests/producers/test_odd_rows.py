"""Whatever a venue sends in a row, that row is mapped, left out or refused; nothing else happens."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from producers.base import Reader
from producers.catalog import learn, show
from producers.kalshi.reader import KalshiReader
from producers.polymarket.reader import PolymarketReader
from tests.payloads import made
from tests.producers.fixture_lines import MOMENT, nothing_shown, page
from tests.producers.kalshi import fixtures as kalshi
from tests.producers.polymarket import fixtures as polymarket

numbers = st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False, allow_infinity=False)  # what JSON can carry
scalars = st.none() | st.booleans() | numbers | st.text(max_size=12)
anything = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
)
odd_values = anything | st.sampled_from(
    ["", "0", "1", "-1", "NaN", "1e400", "[]", "{}", '["a"]', "2026-99-99T00:00:00Z"]
)


def rows(venue: str) -> tuple[Reader, dict[str, Any], dict[str, Any]]:
    """A reader, an event and a market with all the keys that the venue writes."""
    folder = made(venue)
    if venue == "kalshi":
        event = kalshi.load(folder / "events.json")["events"][0]
        return KalshiReader(), event, event["markets"][0]
    event = polymarket.load(folder / "events.json")[0]
    return PolymarketReader(), event, polymarket.load(folder / "markets.json")[0]


@pytest.mark.parametrize("venue", ["kalshi", "polymarket"])
@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(data=st.data())
def test_an_odd_row_is_accounted_for(venue: str, data: st.DataObject) -> None:
    reader, _, market = rows(venue)
    keys = st.sampled_from(sorted(market))
    odd = market | data.draw(st.dictionaries(keys, odd_values, min_size=1, max_size=4))

    ticks = show(reader, page("markets", [odd]), MOMENT, nothing_shown)
    markets = learn(reader, page("markets", [odd]), MOMENT)

    for mapped in (ticks, markets):
        assert len(mapped.events) + len(mapped.bad) + sum(mapped.left_out.values()) == 1


@pytest.mark.parametrize("venue", ["kalshi", "polymarket"])
@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(data=st.data())
def test_an_odd_event_stops_nothing(venue: str, data: st.DataObject) -> None:
    reader, event, _ = rows(venue)
    odd = event | data.draw(st.dictionaries(st.sampled_from(sorted(event)), odd_values, min_size=1, max_size=4))

    mapped = learn(reader, page("events", [odd, event]), MOMENT)

    assert {market.event_key for market in mapped.events} >= {
        f"{'KALSHI' if venue == 'kalshi' else 'POLY'}:EVENT:{event.get('event_ticker') or event.get('id')}"
    }


@pytest.mark.parametrize("kind", ["events", "markets", "series", "books"])
@pytest.mark.parametrize("row", [None, 7, "row", [], {}])
def test_what_is_no_row_at_all_is_refused(kind: str, row: Any) -> None:
    for reader in (KalshiReader(), PolymarketReader()):
        if kind in ("series", "books") and isinstance(row, dict):
            continue
        assert len(learn(reader, page(kind, [row]), MOMENT).bad) == 1
        assert len(show(reader, page(kind, [row]), MOMENT, nothing_shown).bad) == 1
