"""Polymarket rows to Market and Tick, over all payloads at hand."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from kernel.errors import BadMessageError
from producers.catalog import learn
from producers.polymarket import mapper
from producers.polymarket.reader import PolymarketReader
from schemas.events import Market, Tick
from schemas.units import event_id, micros_from_iso
from tests.payloads import HAS_RECORDED, RECORDED, file_name, folders, present
from tests.producers.fixture_lines import MOMENT, NOW_US, page, ticked
from tests.producers.polymarket import fixtures
from tests.producers.reviewed import reviewed
from tests.producers.rows import YES, book, gamma

RESOLVED = {
    "closed": True,
    "outcomePrices": '["1", "0"]',
    "umaResolutionStatus": "resolved",
    "bestBid": ...,
    "bestAsk": 1,
    "lastTradePrice": 0.7,
}
"""What a market row says otherwise once its outcome 0 has won."""


def market_of(**change: Any) -> Market:
    """A row, changed, as a market without an event."""
    return mapper.market(gamma(**change), mapper.Event(), MOMENT)


def tick_of(**change: Any) -> Tick:
    """A row, changed, as a tick."""
    return ticked("polymarket", mapper.shown(gamma(**change), MOMENT))


@pytest.mark.parametrize("path", present("polymarket", fixtures.NAMES), ids=file_name)
def test_every_row_of_a_payload_maps_as_reviewed(path: Path) -> None:
    assert fixtures.lines_of(path) == reviewed("polymarket", path)


@pytest.mark.parametrize("path", present("polymarket", fixtures.OTHER), ids=file_name)
def test_rows_of_other_endpoints_are_refused_and_never_misread(path: Path) -> None:
    mapped = learn(PolymarketReader(), page("markets", fixtures.load(path)), MOMENT)

    assert mapped.events == []
    assert {error.reason for error in mapped.bad} == {"missing_field"}


@pytest.mark.parametrize("folder", folders("polymarket"), ids=file_name)
def test_every_payload_of_a_rest_answer_is_covered(folder: Path) -> None:
    covered = {*fixtures.NAMES, *fixtures.BOOKS, *fixtures.OTHER}
    rest = {
        path.name
        for path in folder.iterdir()
        if not path.name.startswith(("ws_", "rtds_", "INDEX")) and "history" not in path.name
    }

    assert rest <= covered


def test_an_open_market_maps_in_full() -> None:
    stub = {"id": "23784", "slug": "what-will-be-told", "title": "What will be told?", "negRisk": False}
    mapped = learn(PolymarketReader(), page("markets", [gamma(events=[stub])]), MOMENT)

    yes = "98022490269692409998126496127597032490334070080325855126491859374983463996227"
    no = "53831553061883006530739877284105938919721408776239639687877978808906551086026"
    condition_id = "0x1fad72fae204143ff1c3035e99e7c0f65ea8d5cd9bd1070987bd1a3316f772be"
    [market] = mapped.events
    assert market == Market(
        event_id=market.event_id,
        venue="polymarket",
        market_id=f"POLY:{condition_id}",
        venue_market_id=condition_id,
        token_ids=(f"POLY:{yes}", f"POLY:{no}"),
        outcomes=("Yes", "No"),
        title="Will it be told?",
        event_key="POLY:EVENT:23784",
        event_title="What will be told?",
        mutually_exclusive=False,
        category="other",
        venue_category="",
        tags=(),
        status="open",
        result=None,
        open_ts_us=micros_from_iso("2025-05-02T15:48:10.582Z"),
        close_ts_us=micros_from_iso("2026-07-31T12:00:00Z"),
        url="https://polymarket.com/event/what-will-be-told/will-it-be-told",
        ts_event_us=NOW_US,
        ts_received_us=NOW_US + 250_000,
    )


def test_an_open_market_ticks_in_full() -> None:
    tick = tick_of()

    market_id = "POLY:0x1fad72fae204143ff1c3035e99e7c0f65ea8d5cd9bd1070987bd1a3316f772be"
    assert tick == Tick(
        event_id=event_id(market_id, NOW_US),
        venue="polymarket",
        market_id=market_id,
        token_id="POLY:98022490269692409998126496127597032490334070080325855126491859374983463996227",
        ts_event_us=NOW_US,
        ts_received_us=NOW_US + 250_000,
        ts_venue_us=NOW_US,
        ts_sent_us=NOW_US,
        ts_event_basis="http_date",
        source="sweep",
        bid_ppm=500_000,
        ask_ppm=520_000,
        last_ppm=500_000,
        price_ppm=510_000,
        price_basis="mid",
        volume_24h_usd=2502.25,
        volume_total_usd=832995.125818007,
        market_status="open",
        close_ts_us=micros_from_iso("2026-07-31T12:00:00Z"),
        heartbeat_s=60,
        flags=(),
    )


def test_closed_while_accepting_orders_is_settled_and_has_no_price() -> None:
    market = market_of(**RESOLVED, acceptingOrders=True)
    tick = tick_of(**RESOLVED, acceptingOrders=True)

    assert (market.status, market.result) == ("settled", "Yes")
    assert (tick.bid_ppm, tick.ask_ppm, tick.last_ppm) == (None, None, 700_000)
    assert (tick.price_ppm, tick.price_basis, tick.market_status) == (None, "none", "settled")


def test_closed_market_names_the_winner_by_its_label() -> None:
    assert market_of(**RESOLVED, outcomes='["FaZe", "Vitality"]').result == "FaZe"
    assert market_of(**RESOLVED | {"outcomePrices": '["0", "1"]'}).result == "No"


def test_last_trade_at_one_where_no_has_won_is_no_price() -> None:
    tick = tick_of(**RESOLVED | {"outcomePrices": '["0", "1"]', "lastTradePrice": 1})

    assert (tick.last_ppm, tick.price_ppm, tick.market_status) == (1_000_000, None, "settled")


def test_legacy_scalar_market_is_not_binary_though_it_has_two_outcomes() -> None:
    with pytest.raises(BadMessageError) as error:
        tick_of(marketType="scalar", outcomes='["Long", "Short"]')

    assert error.value.reason == "not_binary"
    assert json.loads(error.value.body)["marketType"] == "scalar"


@pytest.mark.parametrize("outcomes", ['["A", "B", "C"]', '["Yes"]', "[]", None])
def test_other_than_two_outcomes_is_not_binary(outcomes: str | None) -> None:
    odd = gamma() | {"outcomes": outcomes}

    with pytest.raises(BadMessageError, match="not_binary"):
        mapper.market(odd, mapper.Event(), MOMENT)


def test_legacy_zero_zero_prices_have_no_winner() -> None:
    market = market_of(closed=True, outcomePrices='["0", "0"]')

    assert (market.status, market.result) == ("closed", None)


def test_almost_one_is_no_resolution() -> None:
    # As real rows of 2020 stopped.
    assert market_of(closed=True, outcomePrices='["0.99999897", "0.00000103"]').result is None


def test_past_its_end_date_a_market_is_open_while_it_takes_orders() -> None:
    market = market_of(endDate="2026-06-01T00:00:00Z")

    assert market.status == "open"
    assert market.close_ts_us is not None
    assert market.close_ts_us < NOW_US


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"acceptingOrders": False}, "paused"),
        ({"acceptingOrders": False, "endDate": "2026-06-01T00:00:00Z"}, "closed"),
        ({"acceptingOrders": False, "umaResolutionStatus": "proposed"}, "closed"),
        ({"active": False}, "unopened"),
        ({"enableOrderBook": False}, "unopened"),
        ({"closed": True, "outcomePrices": '["0.5", "0.5"]', "umaResolutionStatus": "resolved"}, "settled"),
        ({"closed": True, "outcomePrices": '["0.5", "0.5"]'}, "closed"),
    ],
)
def test_status_of_each_state_of_a_row(change: dict[str, Any], status: str) -> None:
    changed = gamma() | change

    assert mapper.market(changed, mapper.Event(), MOMENT).status == status
    assert ticked("polymarket", mapper.shown(changed, MOMENT)).market_status == status


def test_absent_quotes_stay_absent() -> None:
    bare = gamma()
    for key in ("bestBid", "bestAsk", "lastTradePrice", "volume24hr", "volumeNum", "endDate"):
        del bare[key]

    tick = ticked("polymarket", mapper.shown(bare, MOMENT))

    assert (tick.bid_ppm, tick.ask_ppm, tick.last_ppm, tick.price_ppm) == (None, None, None, None)
    assert (tick.volume_24h_usd, tick.volume_total_usd, tick.close_ts_us) == (None, None, None)
    assert tick.flags == ("empty",)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"conditionId": ""}, "missing_field"),
        ({"clobTokenIds": None}, "missing_field"),
        ({"clobTokenIds": "[1, 2]"}, "bad_field"),
        ({"clobTokenIds": "[not json"}, "bad_field"),
        ({"bestBid": "cheap"}, "bad_price"),
        ({"volume24hr": -1}, "bad_field"),
        ({"endDate": "soon"}, "bad_time"),
        ({"endDate": "2026-07-31T12:00:00"}, "bad_time"),
        ({"closed": "no"}, "bad_field"),
    ],
)
def test_nonsense_is_refused_with_its_reason_and_the_row(change: dict[str, Any], reason: str) -> None:
    broken = gamma() | change

    with pytest.raises(BadMessageError) as error:
        ticked("polymarket", mapper.shown(broken, MOMENT))

    assert error.value.reason == reason
    assert json.loads(error.value.body)["id"] == "540817"


def test_real_arrays_are_taken_as_well_as_arrays_in_strings() -> None:
    text = gamma()
    arrays = text | {key: json.loads(text[key]) for key in ("outcomes", "clobTokenIds", "outcomePrices")}

    assert mapper.market(arrays, mapper.Event(), MOMENT) == mapper.market(text, mapper.Event(), MOMENT)


@pytest.mark.parametrize(
    ("slugs", "category"),
    [
        (("featured", "politics", "elections"), "elections"),
        (("politics", "economy", "fed"), "economics"),
        (("hide-from-new", "crypto", "finance"), "crypto"),
        (("politics", "geopolitics"), "world"),
        (("mentions", "politics", "trump"), "mentions"),
        (("mention-markets", "politics"), "mentions"),
        (("tweets-markets", "featured"), "culture"),
        (("economics", "politics"), "economics"),
        (("recurring", "5m"), "other"),
        ((), "other"),
    ],
)
def test_most_telling_tag_decides_whatever_the_order(slugs: tuple[str, ...], category: str) -> None:
    for order in (slugs, slugs[::-1]):
        tags = tuple((slug.title(), slug) for slug in order)
        market = mapper.market(gamma(), mapper.Event(event_id="1", tags=tags), MOMENT)
        assert market.category == category


@pytest.mark.parametrize("mark", [{"sportsMarketType": "moneyline"}, {"gameId": "1234"}, {"gameId": 1234}])
def test_a_game_that_nobody_tagged_is_sports(mark: dict[str, Any]) -> None:
    game = gamma() | mark

    assert mapper.market(game, mapper.Event(), MOMENT).category == "sports"


def test_content_id_changes_with_the_content_and_not_with_the_moment() -> None:
    first = gamma()
    later = replace(MOMENT, as_of_us=NOW_US + 60_000_000)

    assert mapper.market(first, mapper.Event(), MOMENT).event_id == mapper.market(first, mapper.Event(), later).event_id
    renamed = first | {"question": "Another?"}
    assert (
        mapper.market(first, mapper.Event(), MOMENT).event_id != mapper.market(renamed, mapper.Event(), MOMENT).event_id
    )


# ── books ────────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("change", "sides", "sizes", "last", "price", "basis", "flags"),
    [
        ({}, (500_000, 520_000), (7.0, 3.0), 510_000, 510_000, "mid", ()),
        (
            {
                "bids": [{"price": "0.001", "size": "28195.33"}],
                "asks": [{"price": "0.999", "size": "231.08"}],
                "last_trade_price": "0.004",
            },
            (1_000, 999_000),
            (28195.33, 231.08),
            4_000,
            4_000,
            "last",
            ("wide",),
        ),
        ({"asks": [], "last_trade_price": ""}, (500_000, None), (7.0, None), None, None, "none", ("one_sided",)),
        ({"last_trade_price": ...}, (500_000, 520_000), (7.0, 3.0), 500_000, 510_000, "mid", ()),
    ],
)
def test_a_book_ticks_with_its_best_levels(
    change: dict[str, Any],
    sides: tuple[int, int | None],
    sizes: tuple[float, float | None],
    last: int | None,
    price: int | None,
    basis: str,
    flags: tuple[str, ...],
) -> None:
    newest = mapper.shown(gamma(), MOMENT)  # its last trade, 0.50, stands in where a book has none

    tick = ticked("polymarket", mapper.book_shown(book(**change), newest))

    assert (tick.bid_ppm, tick.ask_ppm) == sides
    assert (tick.bid_size_contracts, tick.ask_size_contracts) == sizes
    assert (tick.last_ppm, tick.price_ppm, tick.price_basis, tick.flags) == (last, price, basis, flags)
    assert (tick.market_id, tick.volume_24h_usd) == (newest.market_id, newest.volume_24h_usd)


def test_the_books_of_an_event_agree_with_its_gamma_rows() -> None:
    pairs = [(gamma(), {YES: book()})]
    if HAS_RECORDED:
        folder = RECORDED / "polymarket"
        books = {each["asset_id"]: each for each in fixtures.load(folder / "clob_books_batch_2026-05.json")}
        rows = fixtures.load(folder / "gamma_event_negrisk_multi_2026-05.json")[0]["markets"]
        pairs += [(row, books) for row in rows]
    for row, books in pairs:
        swept = mapper.shown(row, MOMENT)

        hot = mapper.book_shown(books[swept.token_id.removeprefix("POLY:")], swept)

        mine, theirs = hot.quote, swept.quote
        assert (mine.bid_ppm, mine.ask_ppm, mine.price_ppm) == (theirs.bid_ppm, theirs.ask_ppm, theirs.price_ppm)


def test_the_order_of_levels_does_not_matter() -> None:
    levels = book()
    turned = levels | {side: levels[side][::-1] for side in ("bids", "asks")}
    newest = mapper.shown(gamma(), MOMENT)

    assert mapper.book_shown(turned, newest) == mapper.book_shown(levels, newest)


@pytest.mark.parametrize("levels", [[{"price": "x", "size": "1"}], [{"price": "0.5"}], ["0.5"], 7])
def test_a_broken_book_is_refused(levels: Any) -> None:
    broken = book(bids=levels)

    with pytest.raises(BadMessageError, match="bad_book"):
        mapper.book_shown(broken, mapper.shown(gamma(), MOMENT))
