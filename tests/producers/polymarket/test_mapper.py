"""Polymarket rows to Market and Tick, over real payloads."""

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
from producers.ticks import Shown
from schemas.events import Market, Tick
from schemas.units import event_id, micros_from_iso
from tests.producers.fixture_lines import MOMENT, NOW_US, expected, page, ticked
from tests.producers.polymarket import fixtures


@pytest.fixture(scope="module")
def folder(shared_dir: Path) -> Path:
    """Polymarket's fixtures."""
    return shared_dir / "fixtures" / "polymarket"


def row(folder: Path, name: str) -> dict[str, Any]:
    """The first row of a fixture."""
    first: dict[str, Any] = fixtures.load(folder / name)[0]
    return first


def market_of(folder: Path, name: str) -> Market:
    """The first row of a fixture as a market without an event."""
    return mapper.market(row(folder, name), mapper.Event(), MOMENT)


def shown_of(folder: Path, name: str) -> Shown:
    """What the first row of a fixture shows."""
    return mapper.shown(row(folder, name), MOMENT)


def tick_of(folder: Path, name: str) -> Tick:
    """The first row of a fixture as a tick."""
    return ticked("polymarket", shown_of(folder, name))


@pytest.mark.parametrize("name", fixtures.NAMES)
def test_every_row_of_a_fixture_maps_as_reviewed(folder: Path, name: str) -> None:
    assert fixtures.lines_of(folder / name) == expected("polymarket", name)


@pytest.mark.parametrize("name", fixtures.OTHER)
def test_rows_of_other_endpoints_are_refused_and_never_misread(folder: Path, name: str) -> None:
    mapped = learn(PolymarketReader(), page("markets", fixtures.load(folder / name)), MOMENT)

    assert mapped.events == []
    assert {error.reason for error in mapped.bad} == {"missing_field"}


def test_every_fixture_of_a_rest_answer_is_covered(folder: Path) -> None:
    covered = {*fixtures.NAMES, *fixtures.BOOKS, *fixtures.OTHER}
    rest = {
        path.name
        for path in folder.iterdir()
        if not path.name.startswith(("ws_", "rtds_", "INDEX")) and "history" not in path.name
    }

    assert rest == covered


def test_an_open_market_maps_in_full(folder: Path) -> None:
    reader = PolymarketReader()
    mapped = learn(reader, page("markets", fixtures.load(folder / "gamma_markets_page_2026-06.json")[:1]), MOMENT)

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
        title="New Rihanna Album before GTA VI?",
        event_key="POLY:EVENT:23784",
        event_title="What will happen before GTA VI?",
        mutually_exclusive=False,
        category="other",
        venue_category="",
        tags=(),
        status="open",
        result=None,
        open_ts_us=micros_from_iso("2025-05-02T15:48:10.582Z"),
        close_ts_us=micros_from_iso("2026-07-31T12:00:00Z"),
        url="https://polymarket.com/event/what-will-happen-before-gta-vi/new-rhianna-album-before-gta-vi-926",
        ts_event_us=NOW_US,
        ts_received_us=NOW_US + 250_000,
    )


def test_an_open_market_ticks_in_full(folder: Path) -> None:
    tick = tick_of(folder, "gamma_markets_page_2026-06.json")

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
        volume_24h_usd=2502.2865490000004,
        volume_total_usd=832995.125818007,
        market_status="open",
        close_ts_us=micros_from_iso("2026-07-31T12:00:00Z"),
        heartbeat_s=60,
        flags=(),
    )


def test_closed_while_accepting_orders_is_settled_and_has_no_price(folder: Path) -> None:
    market = market_of(folder, "gamma_market_closed_accepting_true.json")
    tick = tick_of(folder, "gamma_market_closed_accepting_true.json")

    assert (market.status, market.result) == ("settled", "Yes")
    assert (tick.bid_ppm, tick.ask_ppm, tick.last_ppm) == (None, None, 700_000)
    assert (tick.price_ppm, tick.price_basis, tick.market_status) == (None, "none", "settled")


def test_closed_market_names_the_winner_by_its_label(folder: Path) -> None:
    assert market_of(folder, "gamma_market_sports_moneyline_2026-04.json").result == "FaZe"
    assert market_of(folder, "gamma_market_closed_accepting_false.json").result == "No"


def test_last_trade_at_one_where_no_has_won_is_no_price(folder: Path) -> None:
    lost = fixtures.load(folder / "gamma_public_search_2026-05.json")[1]["markets"][1]
    assert lost["lastTradePrice"] == 1

    tick = ticked("polymarket", mapper.shown(lost, MOMENT))

    assert (tick.last_ppm, tick.price_ppm, tick.market_status) == (1_000_000, None, "settled")


def test_legacy_scalar_market_is_not_binary_though_it_has_two_outcomes(folder: Path) -> None:
    with pytest.raises(BadMessageError) as error:
        tick_of(folder, "gamma_market_closed_nonbinary_legacy.json")

    assert error.value.reason == "not_binary"
    assert json.loads(error.value.body)["marketType"] == "scalar"


@pytest.mark.parametrize("outcomes", ['["A", "B", "C"]', '["Yes"]', "[]", None])
def test_other_than_two_outcomes_is_not_binary(folder: Path, outcomes: str | None) -> None:
    odd = row(folder, "gamma_markets_page_2026-06.json") | {"outcomes": outcomes}

    with pytest.raises(BadMessageError, match="not_binary"):
        mapper.market(odd, mapper.Event(), MOMENT)


def test_legacy_zero_zero_prices_have_no_winner(folder: Path) -> None:
    market = market_of(folder, "gamma_market_closed_zero_zero_legacy.json")

    assert (market.status, market.result) == ("closed", None)


def test_almost_one_is_no_resolution(folder: Path) -> None:
    rows = fixtures.load(folder / "gamma_markets_legacy_2020_trim_2026-03.json")
    [kanye] = [r for r in rows if "Kanye" in r["question"]]

    assert mapper.market(kanye, mapper.Event(), MOMENT).result is None


def test_past_its_end_date_a_market_is_open_while_it_takes_orders(folder: Path) -> None:
    market = market_of(folder, "gamma_market_past_end_date_open.json")

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
def test_status_of_each_state_of_a_row(folder: Path, change: dict[str, Any], status: str) -> None:
    changed = row(folder, "gamma_markets_page_2026-06.json") | change

    assert mapper.market(changed, mapper.Event(), MOMENT).status == status
    assert ticked("polymarket", mapper.shown(changed, MOMENT)).market_status == status


def test_absent_quotes_stay_absent(folder: Path) -> None:
    bare = row(folder, "gamma_markets_page_2026-06.json")
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
def test_nonsense_is_refused_with_its_reason_and_the_row(folder: Path, change: dict[str, Any], reason: str) -> None:
    broken = row(folder, "gamma_markets_page_2026-06.json") | change

    with pytest.raises(BadMessageError) as error:
        ticked("polymarket", mapper.shown(broken, MOMENT))

    assert error.value.reason == reason
    assert json.loads(error.value.body)["id"] == "540817"


def test_real_arrays_are_taken_as_well_as_arrays_in_strings(folder: Path) -> None:
    text = row(folder, "gamma_markets_page_2026-06.json")
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
def test_most_telling_tag_decides_whatever_the_order(folder: Path, slugs: tuple[str, ...], category: str) -> None:
    for order in (slugs, slugs[::-1]):
        tags = tuple((slug.title(), slug) for slug in order)
        market = mapper.market(
            row(folder, "gamma_markets_page_2026-06.json"), mapper.Event(event_id="1", tags=tags), MOMENT
        )
        assert market.category == category


@pytest.mark.parametrize("mark", [{"sportsMarketType": "moneyline"}, {"gameId": "1234"}, {"gameId": 1234}])
def test_a_game_that_nobody_tagged_is_sports(folder: Path, mark: dict[str, Any]) -> None:
    game = row(folder, "gamma_markets_page_2026-06.json") | mark

    assert mapper.market(game, mapper.Event(), MOMENT).category == "sports"


def test_content_id_changes_with_the_content_and_not_with_the_moment(folder: Path) -> None:
    first = row(folder, "gamma_markets_page_2026-06.json")
    later = replace(MOMENT, as_of_us=NOW_US + 60_000_000)

    assert mapper.market(first, mapper.Event(), MOMENT).event_id == mapper.market(first, mapper.Event(), later).event_id
    renamed = first | {"question": "Another?"}
    assert (
        mapper.market(first, mapper.Event(), MOMENT).event_id != mapper.market(renamed, mapper.Event(), MOMENT).event_id
    )


# ── books ────────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("name", "sides", "sizes", "last", "price", "basis", "flags"),
    [
        ("clob_book_2026-01.json", (490_000, 510_000), (1028.0, 1028.0), 500_000, 500_000, "mid", ()),
        (
            "clob_book_2026-08-14_wide.json",
            (1_000, 999_000),
            (28195.33, 231.08),
            4_000,
            4_000,
            "last",
            ("wide",),
        ),
        ("clob_book_empty_ask_2026-08.json", (2_000, None), (6.99, None), None, None, "none", ("one_sided",)),
        ("clob_book_small.json", (100_000, 140_000), (125.0, 705.0), 500_000, 120_000, "mid", ()),
    ],
)
def test_a_book_ticks_with_its_best_levels(
    folder: Path,
    name: str,
    sides: tuple[int, int | None],
    sizes: tuple[float, float | None],
    last: int | None,
    price: int | None,
    basis: str,
    flags: tuple[str, ...],
) -> None:
    newest = shown_of(
        folder, "gamma_markets_page_2026-06.json"
    )  # its last trade, 0.50, stands in where a book has none

    tick = ticked("polymarket", mapper.book_shown(row(folder, name), newest))

    assert (tick.bid_ppm, tick.ask_ppm) == sides
    assert (tick.bid_size_contracts, tick.ask_size_contracts) == sizes
    assert (tick.last_ppm, tick.price_ppm, tick.price_basis, tick.flags) == (last, price, basis, flags)
    assert (tick.market_id, tick.volume_24h_usd) == (newest.market_id, newest.volume_24h_usd)


def test_the_books_of_an_event_agree_with_its_gamma_rows(folder: Path) -> None:
    books = {book["asset_id"]: book for book in fixtures.load(folder / "clob_books_batch_2026-05.json")}
    rows = fixtures.load(folder / "gamma_event_negrisk_multi_2026-05.json")[0]["markets"]
    for gamma in rows:
        swept = mapper.shown(gamma, MOMENT)

        hot = mapper.book_shown(books[swept.token_id.removeprefix("POLY:")], swept)

        mine, theirs = hot.quote, swept.quote
        assert (mine.bid_ppm, mine.ask_ppm, mine.price_ppm) == (theirs.bid_ppm, theirs.ask_ppm, theirs.price_ppm)


def test_the_order_of_levels_does_not_matter(folder: Path) -> None:
    book = row(folder, "clob_book_small.json")
    turned = book | {side: book[side][::-1] for side in ("bids", "asks")}
    newest = shown_of(folder, "gamma_markets_page_2026-06.json")

    assert mapper.book_shown(turned, newest) == mapper.book_shown(book, newest)


@pytest.mark.parametrize("levels", [[{"price": "x", "size": "1"}], [{"price": "0.5"}], ["0.5"], 7])
def test_a_broken_book_is_refused(folder: Path, levels: Any) -> None:
    book = row(folder, "clob_book_small.json") | {"bids": levels}

    with pytest.raises(BadMessageError, match="bad_book"):
        mapper.book_shown(book, shown_of(folder, "gamma_markets_page_2026-06.json"))
