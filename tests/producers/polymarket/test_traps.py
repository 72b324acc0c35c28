"""Polymarket's known traps over REST, one test each. Those of its frames are in `test_frames.py`."""

from __future__ import annotations

from typing import Any

import pytest

from producers.catalog import learn, show
from producers.polymarket import mapper
from producers.polymarket.reader import PolymarketReader
from producers.quotes import MAX_MID_SPREAD_PPM
from producers.ticks import Shown
from producers.tracked import Tracked
from schemas.units import micros_from_iso
from tests.producers.fixture_lines import MOMENT, NOW_US, page
from tests.producers.rows import CONDITION, NO, YES, all_shown, book, gamma, market_of, shown_of


@pytest.fixture
def reader() -> PolymarketReader:
    """One that has read nothing."""
    return PolymarketReader()


def test_arrays_stand_as_json_inside_strings_or_as_arrays(reader: PolymarketReader) -> None:
    arrays = gamma(outcomes=["Yes", "No"], clobTokenIds=[YES, NO])

    assert market_of(reader, arrays) == market_of(reader, gamma())
    assert market_of(reader, gamma()).token_ids == (f"POLY:{YES}", f"POLY:{NO}")


@pytest.mark.parametrize("ids", [f"[{YES}, {NO}]", [int(YES), int(NO)], [float(YES), float(NO)]])
def test_a_token_id_that_became_a_number_is_refused_since_it_lost_its_digits(
    reader: PolymarketReader, ids: Any
) -> None:
    mapped = all_shown(reader, [gamma(clobTokenIds=ids)])

    assert (mapped.events, [error.reason for error in mapped.bad]) == ([], ["bad_field"])


def test_volume_is_read_from_its_number_and_not_from_its_text(reader: PolymarketReader) -> None:
    assert shown_of(reader, gamma(volume="9", volumeNum=80_000.5)).volume_total_usd == 80_000.5
    assert shown_of(reader, gamma(volumeNum=...)).volume_total_usd is None


@pytest.mark.parametrize("absent", ["bestBid", "bestAsk", "lastTradePrice", "oneDayPriceChange", "volume24hr"])
def test_any_quote_of_a_row_may_be_absent(reader: PolymarketReader, absent: str) -> None:
    shown = shown_of(reader, gamma(**{absent: ...}))

    assert shown.market_status == "open"
    if absent == "bestBid":
        assert (shown.quote.bid_ppm, shown.quote.price_basis, shown.quote.flags) == (None, "last", ("one_sided",))


@pytest.mark.parametrize(
    ("prices", "result"), [('["0","1"]', "No"), ('["1","0"]', "Yes"), ('["0","0"]', None), ('["0.99999897","0"]', None)]
)
def test_a_winner_has_exactly_one_and_the_other_exactly_zero(
    reader: PolymarketReader, prices: str, result: str | None
) -> None:
    market = market_of(reader, gamma(closed=True, outcomePrices=prices))

    assert (market.result, market.status) == (result, "settled" if result else "closed")


def test_closed_decides_though_orders_are_accepted(reader: PolymarketReader) -> None:
    shown = shown_of(reader, gamma(closed=True, acceptingOrders=True, umaResolutionStatus="resolved"))

    assert (shown.market_status, shown.quote.price_ppm, shown.quote.price_basis) == ("settled", None, "none")


def test_a_market_past_its_end_is_open_while_it_takes_orders(reader: PolymarketReader) -> None:
    past = gamma(endDate="2026-01-01T00:00:00Z")

    assert shown_of(reader, past).market_status == "open"
    assert shown_of(reader, past | {"acceptingOrders": False}).market_status == "closed"


@pytest.mark.parametrize(
    "text", ["2026-06-10T13:13:13Z", "2026-06-10 13:13:13+00", "2026-06-10T13:13:13.000Z", "2026-06-10T13:13:13+00:00"]
)
def test_both_ways_to_write_an_instant_are_read(reader: PolymarketReader, text: str) -> None:
    assert shown_of(reader, gamma(endDate=text)).close_ts_us == micros_from_iso("2026-06-10T13:13:13Z")


def test_the_best_level_is_searched_for_wherever_it_stands(reader: PolymarketReader) -> None:
    newest = shown_of(reader, gamma())
    turned = book(bids=book()["bids"][::-1], asks=book()["asks"][::-1])

    for row in (book(), turned):
        quote = mapper.book_shown(row, newest).quote
        assert (quote.bid_ppm, quote.ask_ppm) == (500_000, 520_000)
        assert (quote.bid_size_contracts, quote.ask_size_contracts) == (7.0, 3.0)


@pytest.mark.parametrize(("bid", "ask"), [("0.01", "0.99"), ("0.001", "0.999")])
def test_a_ghost_book_has_no_mid(reader: PolymarketReader, bid: str, ask: str) -> None:
    ghost = book(bids=[{"price": bid, "size": "9"}], asks=[{"price": ask, "size": "9"}])

    quote = mapper.book_shown(ghost, shown_of(reader, gamma())).quote

    assert (quote.price_ppm, quote.price_basis, quote.flags) == (510_000, "last", ("wide",))
    assert MAX_MID_SPREAD_PPM == 100_000


def test_a_market_without_an_event_is_described_all_the_same(reader: PolymarketReader) -> None:
    market = market_of(reader, gamma())

    assert (market.event_key, market.url, market.title) == ("", "", "Will it be told?")


def test_a_market_of_several_events_is_told_under_one(reader: PolymarketReader) -> None:
    tracked = Tracked()
    events = [{"id": str(n), "title": f"E{n}", "slug": f"e{n}", "markets": [gamma()]} for n in (1, 2)]
    told = []
    for _ in range(3):
        tracked.begin_crawl()
        told += [m.event_key for m in learn(reader, page("events", events), MOMENT).events if tracked.changed(m)]

    assert told == ["POLY:EVENT:1"]


def test_trailing_zeros_make_no_other_price(reader: PolymarketReader) -> None:
    newest = shown_of(reader, gamma())
    prices = [("0.870", "0.880"), ("0.87", "0.88")]

    first, second = (
        mapper.book_shown(book(bids=[{"price": b, "size": "1"}], asks=[{"price": a, "size": "1"}]), newest).quote
        for b, a in prices
    )

    assert first == second


def test_a_book_that_emptied_at_settlement_has_no_price_and_so_makes_no_move(reader: PolymarketReader) -> None:
    quote = mapper.book_shown(book(bids=[], asks=[], last_trade_price=""), shown_of(reader, gamma())).quote

    assert (quote.price_ppm, quote.flags) == (None, ("empty",))


def test_the_stamp_of_a_book_is_of_its_last_change_and_orders_nothing(reader: PolymarketReader) -> None:
    shown_before = shown_of(reader, gamma())

    def last(_: str) -> Shown:
        return shown_before

    [(shown, _)] = show(reader, page("books", [book(timestamp="1")]), MOMENT, last).events

    assert shown.ts_venue_us is None
    assert MOMENT.as_of_us == NOW_US


def test_a_price_of_the_last_trade_of_never_is_none(reader: PolymarketReader) -> None:
    assert mapper.book_shown(book(last_trade_price=""), shown_of(reader, gamma())).quote.last_ppm is None


def test_two_rows_of_one_market_on_shifted_pages_are_one_market(reader: PolymarketReader) -> None:
    tracked = Tracked()
    markets = learn(reader, page("markets", [gamma(), gamma()]), MOMENT).events

    assert [tracked.changed(market) for market in markets] == [True, False]
    assert len(tracked) == 1
    assert markets[0].market_id == f"POLY:{CONDITION}"
