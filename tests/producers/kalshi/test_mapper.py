"""Kalshi rows to Market and Tick, over all payloads at hand."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from kernel.errors import BadMessageError
from producers.catalog import learn, show
from producers.kalshi import mapper
from producers.kalshi.reader import KalshiReader
from producers.kalshi.settings import CATEGORY
from schemas.events import Market, Tick
from schemas.units import event_id, micros_from_iso
from tests.payloads import file_name, folders, made, present
from tests.producers.fixture_lines import MOMENT, NOW_US, nothing_shown, page, ticked
from tests.producers.kalshi import fixtures
from tests.producers.reviewed import reviewed
from tests.producers.rows import kalshi

EVENTS = made("kalshi") / "events.json"


@pytest.fixture
def row() -> dict[str, Any]:
    """Cincinnati to beat Detroit, two-sided."""
    return kalshi()


def tick(row: dict[str, Any], **change: Any) -> Tick:
    """A row, changed, as a tick."""
    return ticked("kalshi", mapper.shown(row | change))


def market(row: dict[str, Any], **change: Any) -> Market:
    """A row, changed, as a market without event and series."""
    return mapper.market(row | change, mapper.Event(), mapper.Series(), MOMENT)


@pytest.mark.parametrize("path", present("kalshi", fixtures.NAMES), ids=file_name)
def test_every_row_of_a_payload_maps_as_reviewed(path: Path) -> None:
    assert fixtures.lines_of(path) == reviewed("kalshi", path)


@pytest.mark.parametrize("path", present("kalshi", fixtures.OTHER), ids=file_name)
def test_rows_of_other_endpoints_are_refused_and_never_misread(path: Path) -> None:
    body = fixtures.load(path)
    rows = [body] if isinstance(body, dict) else body
    for key in ("trades", "multivariate_contracts"):
        rows = body[key] if isinstance(body, dict) and key in body else rows

    ticks = show(KalshiReader(), page("markets", rows), MOMENT, nothing_shown)

    assert ticks.events == []
    assert {error.reason for error in ticks.bad} <= {"missing_field", "bad_status"}
    assert len(ticks.bad) + sum(ticks.left_out.values()) == len(rows) > 0


@pytest.mark.parametrize("folder", folders("kalshi"), ids=file_name)
def test_every_payload_of_a_rest_answer_is_covered(folder: Path) -> None:
    rest = {p.name for p in folder.iterdir() if not p.name.startswith(("ws_", "INDEX")) and "candle" not in p.name}

    assert rest <= {*fixtures.NAMES, *fixtures.SERIES, *fixtures.OTHER}


@pytest.mark.parametrize("path", present("kalshi", fixtures.SERIES), ids=file_name)
def test_every_series_has_a_category_of_ours(path: Path) -> None:
    rows = list(fixtures.rows_with(fixtures.load(path), "fee_type"))
    assert rows

    for row in rows:
        ticker, series = mapper.series(row)
        assert ticker == row["ticker"]
        assert series.category == row["category"]
        assert series.category in CATEGORY
        assert series.tags == tuple(row["tags"] or ())


@pytest.mark.parametrize("path", present("kalshi", [n for n in fixtures.OTHER if "tags_by" in n]), ids=file_name)
def test_every_category_of_the_venue_has_a_word_of_ours(path: Path) -> None:
    assert set(fixtures.load(path)["tags_by_categories"]) <= set(CATEGORY)


def test_an_open_market_maps_in_full(row: dict[str, Any]) -> None:
    named = {"event_ticker": "KXNFLGAME-26AUG13DETCIN", "title": "Detroit vs Cincinnati", "mutually_exclusive": True}
    events = [{**named, "series_ticker": "KXNFLGAME", "category": "Sports", "markets": [row]}]
    reader = KalshiReader()
    learn(
        reader,
        page("series", [{"ticker": "KXNFLGAME", "category": "Sports", "tags": ["Football"], "title": "Game"}]),
        MOMENT,
    )

    found = learn(reader, page("events", events), MOMENT).events[0]

    assert found == Market(
        event_id=found.event_id,
        venue="kalshi",
        market_id="KALSHI:KXGAME-26AUG13-CIN",
        venue_market_id="KXGAME-26AUG13-CIN",
        token_ids=("KALSHI:KXGAME-26AUG13-CIN:YES", "KALSHI:KXGAME-26AUG13-CIN:NO"),
        outcomes=("Yes", "No"),
        title="Will Cincinnati win?",
        event_key="KALSHI:EVENT:KXNFLGAME-26AUG13DETCIN",
        event_title="Detroit vs Cincinnati",
        mutually_exclusive=True,
        category="sports",
        venue_category="Sports",
        tags=("Football",),
        status="open",
        result=None,
        open_ts_us=micros_from_iso("2026-06-29T18:01:00Z"),
        close_ts_us=micros_from_iso("2026-08-14T02:00:00Z"),
        url="https://kalshi.com/markets/kxnflgame",
        ts_event_us=NOW_US,
        ts_received_us=NOW_US + 250_000,
    )


def test_an_open_market_ticks_in_full(row: dict[str, Any]) -> None:
    market_id = "KALSHI:KXGAME-26AUG13-CIN"
    assert tick(row) == Tick(
        event_id=event_id(market_id, NOW_US),
        venue="kalshi",
        market_id=market_id,
        token_id=f"{market_id}:YES",
        ts_event_us=NOW_US,
        ts_received_us=NOW_US + 250_000,
        ts_venue_us=NOW_US,
        ts_sent_us=NOW_US,
        ts_event_basis="http_date",
        source="sweep",
        bid_ppm=730_000,
        ask_ppm=740_000,
        last_ppm=740_000,
        price_ppm=735_000,
        price_basis="mid",
        bid_size_contracts=10161.06,
        ask_size_contracts=3420.81,
        volume_24h_usd=6458.64 * 735_000 / 1_000_000,
        volume_total_contracts=20840.35,
        market_status="open",
        close_ts_us=micros_from_iso("2026-08-14T02:00:00Z"),
        heartbeat_s=60,
        flags=(),
    )


@pytest.mark.parametrize(
    ("bid", "ask", "bid_size", "ask_size", "sides", "flags"),
    [
        ("0.0000", "0.0100", "0.00", "73469.00", (None, 10_000), ("one_sided",)),
        ("0.0000", "1.0000", "0.00", "0.00", (None, None), ("empty",)),
        ("0.0000", "0.0000", "0.00", "0.00", (None, None), ("empty",)),
        ("0.9900", "1.0000", "5.00", "0.00", (990_000, None), ("one_sided",)),
        ("0.3000", "0.3100", "0.00", "7.00", (None, 310_000), ("one_sided",)),
        ("0.3200", "0.3100", "1.00", "7.00", (320_000, 310_000), ("crossed",)),
        ("0.3000", "1.2000", "1.00", "7.00", (300_000, None), ("out_of_range", "one_sided")),
    ],
)
def test_the_faces_of_an_empty_side(
    row: dict[str, Any],
    bid: str,
    ask: str,
    bid_size: str,
    ask_size: str,
    sides: tuple[int | None, int | None],
    flags: tuple[str, ...],
) -> None:
    quoted = {"yes_bid_dollars": bid, "yes_ask_dollars": ask, "yes_bid_size_fp": bid_size, "yes_ask_size_fp": ask_size}

    seen = tick(row, last_price_dollars="0.0000", **quoted)

    assert (seen.bid_ppm, seen.ask_ppm) == sides
    assert (seen.price_ppm, seen.price_basis, seen.flags) == (None, "none", flags)


@pytest.mark.parametrize("never", ["0.0000", "", None, "0"])
def test_last_price_of_nothing_means_never_traded(row: dict[str, Any], never: str | None) -> None:
    assert tick(row, last_price_dollars=never).last_ppm is None


def test_cents_beside_dollars_are_not_read(row: dict[str, Any]) -> None:
    assert tick(row, yes_bid=77, yes_ask=78, last_price=99, volume=1) == tick(row)


def test_cents_alone_are_refused_and_not_taken_for_zero(row: dict[str, Any]) -> None:
    cents = {key: value for key, value in row.items() if not key.endswith(("_dollars", "_fp"))} | {"yes_bid": 73}

    with pytest.raises(BadMessageError) as error:
        mapper.shown(cents)

    assert error.value.reason == "missing_field"
    assert json.loads(error.value.body)["yes_bid"] == 73


@pytest.mark.parametrize("path", present("kalshi", fixtures.COMBOS), ids=file_name)
def test_combos_are_left_out_and_counted(path: Path) -> None:
    rows = fixtures.market_rows(path)
    combos = [row for row in rows if "mve_collection_ticker" in row]
    assert combos

    reader = KalshiReader()
    mapped = show(reader, page("markets", rows), MOMENT, nothing_shown)

    assert mapped.left_out == {"combo": len(combos)}
    assert mapped.bad == []
    assert len(mapped.events) == len(rows) - len(combos)
    assert learn(reader, page("markets", combos), MOMENT).left_out == {"combo": len(combos)}


@pytest.mark.parametrize(
    ("status", "result", "ours", "winner"),
    [
        ("initialized", "", "unopened", None),
        ("inactive", "", "paused", None),
        ("active", "", "open", None),
        ("closed", "", "closed", None),
        ("determined", "yes", "closed", None),
        ("disputed", "yes", "closed", None),
        ("amended", "no", "closed", None),
        ("finalized", "yes", "settled", "Yes"),
        ("finalized", "no", "settled", "No"),
    ],
)
def test_status_of_each_word_of_the_venue(
    row: dict[str, Any], status: str, result: str, ours: str, winner: str | None
) -> None:
    mapped = market(row, status=status, result=result)

    assert (mapped.status, mapped.result) == (ours, winner)
    assert tick(row, status=status, result=result).market_status == ours


def test_last_price_kept_after_finalisation_is_no_price() -> None:
    settled = present("kalshi", ("events.json", "current_markets_settled.json"))
    finals = [r for path in settled for r in fixtures.market_rows(path) if r["status"] == "finalized"]
    assert finals
    for final in finals:
        seen = tick(final)
        assert (seen.bid_ppm, seen.ask_ppm, seen.price_ppm) == (None, None, None)
        assert seen.last_ppm == round(float(final["last_price_dollars"]) * 1e6)
        assert market(final).result == final["result"].capitalize()


@pytest.mark.parametrize("change", [{"market_type": "scalar"}, {"market_type": "scalar", "status": "finalized"}])
def test_scalar_markets_are_not_binary(row: dict[str, Any], change: dict[str, str]) -> None:
    with pytest.raises(BadMessageError, match="not_binary"):
        tick(row, **change)


@pytest.mark.parametrize("result", ["scalar", ""])
def test_the_end_of_a_binary_market_that_settles_to_an_amount_or_to_nothing_is_told(
    row: dict[str, Any], result: str
) -> None:
    end = {"result": result, "status": "finalized", "settlement_value_dollars": "0.4200"}

    assert (market(row | end).status, market(row | end).result) == ("settled", None)
    assert (tick(row, **end).market_status, tick(row, **end).price_ppm) == ("settled", None)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"ticker": None}, "missing_field"),
        ({"status": "brand_new"}, "bad_status"),
        ({"yes_bid_dollars": "much"}, "bad_price"),
        ({"yes_bid_size_fp": "-3.00"}, "bad_field"),
        ({"close_time": "2026-08-15"}, "bad_time"),
    ],
)
def test_nonsense_is_refused_with_its_reason(row: dict[str, Any], change: dict[str, Any], reason: str) -> None:
    with pytest.raises(BadMessageError) as error:
        tick(row, **change)

    assert error.value.reason == reason


@pytest.mark.parametrize(
    ("occurrence", "expected_expiration", "close", "ends"),
    [
        ("2027-07-31T14:00:00Z", "2027-08-01T14:00:00Z", "2029-07-30T14:00:00Z", "2027-07-31T14:00:00Z"),
        (None, "2027-03-14T15:00:00Z", "2028-02-12T15:00:00Z", "2027-03-14T15:00:00Z"),
        ("2026-07-25T06:05:00Z", "2026-07-25T06:05:00Z", "2026-07-25T06:00:00Z", "2026-07-25T06:00:00Z"),
        (None, None, "2026-07-25T06:00:00Z", "2026-07-25T06:00:00Z"),
        ("", "", "", None),
    ],
)
def test_a_market_ends_when_it_is_expected_to_but_not_after_its_close(
    row: dict[str, Any], occurrence: str | None, expected_expiration: str | None, close: str, ends: str | None
) -> None:
    seen = tick(row, occurrence_datetime=occurrence, expected_expiration_time=expected_expiration, close_time=close)

    assert seen.close_ts_us == (None if ends is None else micros_from_iso(ends))


def test_title_tells_the_side_where_siblings_share_it() -> None:
    events = fixtures.load(EVENTS)["events"][:2]
    titles = {m.venue_market_id: m.title for m in learn(KalshiReader(), page("events", events), MOMENT).events}

    assert titles == {
        "KXMADEGAME-26SEP01AAABBB-AAA": "Aaa vs Bbb Winner? Aaa",
        "KXMADEGAME-26SEP01AAABBB-TIE": "Aaa vs Bbb Winner? Tie",
        "KXMADEGAME-26SEP01AAABBB-BBB": "Aaa vs Bbb Winner? Bbb",
        "KXMADEOWN-26SEP02-C": "Will Cara win the Cara vs Dora match?",
        "KXMADEOWN-26SEP02-D": "Will Dora win the Cara vs Dora match?",
    }


def test_a_side_called_yes_adds_nothing_to_the_title(row: dict[str, Any]) -> None:
    market = {**row, "title": "Will it rain in Chicago?", "yes_sub_title": "Yes"}
    event = {"event_ticker": row["event_ticker"], "series_ticker": "KXRAIN", "title": "Rain", "markets": [market]}

    [told] = learn(KalshiReader(), page("events", [event]), MOMENT).events

    assert told.title == "Will it rain in Chicago?"


def test_category_falls_back_to_the_event_where_the_series_is_not_known() -> None:
    events = fixtures.load(EVENTS)["events"][:1]

    [first, *_] = learn(KalshiReader(), page("events", events), MOMENT).events

    assert (first.category, first.venue_category, first.tags) == ("sports", "Sports", ())


def test_volume_without_any_price_is_not_estimated(row: dict[str, Any]) -> None:
    empty = {"yes_bid_dollars": "0.0000", "yes_ask_dollars": "1.0000", "last_price_dollars": "0.0000"}

    assert tick(row, **empty).volume_24h_usd is None
    assert tick(row, **empty, volume_24h_fp="0.00").volume_24h_usd == 0.0
