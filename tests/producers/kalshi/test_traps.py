"""Kalshi's known traps over REST, one test each. Those of its frames are in `test_frames.py`."""

from __future__ import annotations

from typing import Any

import pytest

from producers.catalog import learn
from producers.kalshi.reader import KalshiReader
from producers.kalshi.settings import STATUS
from producers.tracked import Tracked
from schemas.units import micros_from_iso
from tests.producers.fixture_lines import MOMENT, page
from tests.producers.rows import all_shown, kalshi, market_of, shown_of


@pytest.fixture
def reader() -> KalshiReader:
    """One that has read nothing."""
    return KalshiReader()


def test_cents_are_never_read_and_alone_they_are_refused(reader: KalshiReader) -> None:
    assert shown_of(reader, kalshi(yes_bid=1, yes_ask=2, last_price=3)) == shown_of(reader, kalshi())
    cents = kalshi(yes_bid_dollars=..., yes_ask_dollars=..., yes_bid=73, yes_ask=74)

    assert [error.reason for error in all_shown(reader, [cents]).bad] == ["missing_field"]


@pytest.mark.parametrize(
    ("bid", "ask", "sides"),
    [
        ("0.0000", "0.0100", (None, 10_000)),
        ("0.0000", "1.0000", (None, None)),
        ("0.9900", "1.0000", (990_000, None)),
        ("0.0000", "0.0000", (None, None)),
    ],
)
def test_an_empty_side_is_written_as_nought_or_one(
    reader: KalshiReader, bid: str, ask: str, sides: tuple[int | None, int | None]
) -> None:
    quote = shown_of(reader, kalshi(yes_bid_dollars=bid, yes_ask_dollars=ask)).quote

    assert (quote.bid_ppm, quote.ask_ppm) == sides


@pytest.mark.parametrize("size", ["0.00", "0"])
def test_a_side_without_contracts_is_empty_whatever_its_price(reader: KalshiReader, size: str) -> None:
    assert shown_of(reader, kalshi(yes_bid_size_fp=size)).quote.bid_ppm is None


@pytest.mark.parametrize("never", ["", "0.0000", "0", None, ...])
def test_a_last_price_of_nothing_is_never_traded(reader: KalshiReader, never: Any) -> None:
    assert shown_of(reader, kalshi(last_price_dollars=never)).quote.last_ppm is None


@pytest.mark.parametrize(
    "combo", [{"ticker": "KXMVESPORTS-1"}, {"mve_collection_ticker": "KXMVE-X"}, {"mve_collection_ticker": "KXC"}]
)
def test_combos_are_left_out_by_either_mark(reader: KalshiReader, combo: dict[str, str]) -> None:
    mapped = all_shown(reader, [kalshi(**combo)])

    assert (mapped.events, mapped.bad, mapped.left_out) == ([], [], {"combo": 1})


def test_an_event_matches_by_any_child_so_its_markets_come_in_every_status(reader: KalshiReader) -> None:
    nested = [kalshi(ticker=f"KX-{word}", status=word) for word in STATUS]
    event = {"event_ticker": "KX", "series_ticker": "KXS", "title": "E", "markets": nested}

    markets = learn(reader, page("events", [event]), MOMENT).events

    assert [market.status for market in markets] == list(STATUS.values())


def test_the_order_of_an_events_markets_means_nothing(reader: KalshiReader) -> None:
    nested = [kalshi(ticker=f"KX-{n}", title="Who?", yes_sub_title=f"Side {n}") for n in range(3)]
    event = {"event_ticker": "KX", "series_ticker": "KXS", "title": "E"}
    tracked = Tracked()

    for markets in (nested, nested[::-1]):
        told = learn(reader, page("events", [event | {"markets": markets}]), MOMENT).events
        changes = [tracked.changed(market) for market in told]

    assert changes == [False, False, False]


@pytest.mark.parametrize(
    ("occurs", "expires", "closes", "ends"),
    [
        ("2027-07-31T14:00:00Z", "2027-08-01T14:00:00Z", "2029-07-30T14:00:00Z", "2027-07-31T14:00:00Z"),
        (..., "2026-07-25T06:05:00Z", "2026-07-25T06:00:00Z", "2026-07-25T06:00:00Z"),
    ],
)
def test_the_end_is_the_occurrence_and_never_after_the_close(
    reader: KalshiReader, occurs: Any, expires: str, closes: str, ends: str
) -> None:
    row = kalshi(occurrence_datetime=occurs, expected_expiration_time=expires, close_time=closes)

    assert shown_of(reader, row).close_ts_us == micros_from_iso(ends)


def test_series_and_category_come_from_their_own_rows_and_not_out_of_a_ticker(reader: KalshiReader) -> None:
    learn(reader, page("series", [{"ticker": "KXNFLGAME", "category": "Politics", "tags": None}]), MOMENT)
    event = {"event_ticker": "KXGAME-26AUG13", "series_ticker": "KXNFLGAME", "title": "E", "markets": [kalshi()]}

    market = market_of(reader, event, "events")

    assert (market.category, market.venue_category, market.tags) == ("politics", "Politics", ())
    assert market.url == "https://kalshi.com/markets/kxnflgame"


@pytest.mark.parametrize("value", ["1.0000", 100, None, "0.5000"])
def test_no_settlement_value_of_whatever_form_breaks_a_row(reader: KalshiReader, value: Any) -> None:
    row = kalshi(status="finalized", result="yes", settlement_value_dollars=value, settlement_value=value)

    assert market_of(reader, row).result == "Yes"


def test_a_market_may_settle_above_nought_and_has_no_price_then(reader: KalshiReader) -> None:
    row = kalshi(status="finalized", result="no", settlement_bounds_type="floor", settlement_floor_dollars="0.1000")

    shown = shown_of(reader, row)

    assert (shown.market_status, shown.quote.price_ppm, shown.quote.last_ppm) == ("settled", None, 740_000)


def test_contracts_come_in_fractions(reader: KalshiReader) -> None:
    shown = shown_of(reader, kalshi(yes_bid_size_fp="0.25", volume_fp="20840.35"))

    assert (shown.quote.bid_size_contracts, shown.volume_total_contracts) == (0.25, 20840.35)


@pytest.mark.parametrize(
    "gone", ["previous_price_dollars", "liquidity_dollars", "subtitle", "tick_size", "no_bid_dollars"]
)
def test_fields_that_come_and_go_are_not_needed(reader: KalshiReader, gone: str) -> None:
    assert shown_of(reader, kalshi(**{gone: ...})) == shown_of(reader, kalshi())


def test_the_words_of_the_filter_are_not_those_of_a_row(reader: KalshiReader) -> None:
    mapped = all_shown(reader, [kalshi(status="open"), kalshi(status="unopened")])

    assert [error.reason for error in mapped.bad] == ["bad_status", "bad_status"]


def test_the_last_price_that_stays_after_the_end_is_no_price(reader: KalshiReader) -> None:
    row = kalshi(status="finalized", result="no", yes_bid_dollars="0.0000", yes_ask_dollars="1.0000")

    shown = shown_of(reader, row)

    assert (shown.quote.price_ppm, shown.quote.price_basis, shown.quote.last_ppm) == (None, "none", 740_000)


def test_a_market_whose_price_is_an_amount_is_no_probability(reader: KalshiReader) -> None:
    mapped = all_shown(reader, [kalshi(market_type="scalar"), kalshi(market_type="scalar", status="finalized")])

    assert [error.reason for error in mapped.bad] == ["not_binary", "not_binary"]


def test_a_title_or_a_close_that_changes_later_is_told_again(reader: KalshiReader) -> None:
    tracked = Tracked()
    rows = [kalshi(), kalshi(title="Will Cincinnati win by ten?"), kalshi(occurrence_datetime="2026-08-13T02:00:00Z")]

    assert [tracked.changed(market_of(reader, row)) for row in rows] == [True, True, True]
