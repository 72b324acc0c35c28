"""Rows of both venues as they write them today, made up: for tests that need no recorded payload."""

from __future__ import annotations

from typing import Any

from producers.base import Mapped, Reader
from producers.catalog import learn, show
from producers.ticks import Shown
from schemas.events import Market
from tests.producers.fixture_lines import MOMENT, nothing_shown, page

YES = "98022490269692409998126496127597032490334070080325855126491859374983463996227"
NO = "53831553061883006530739877284105938919721408776239639687877978808906551086026"
CONDITION = "0x1fad72fae204143ff1c3035e99e7c0f65ea8d5cd9bd1070987bd1a3316f772be"


def gamma(**change: Any) -> dict[str, Any]:
    """A Gamma market row, two-sided, changed; a value of ... takes the key away."""
    row = {
        "id": "540817",
        "conditionId": CONDITION,
        "question": "Will it be told?",
        "slug": "will-it-be-told",
        "outcomes": '["Yes", "No"]',
        "outcomePrices": '["0.51", "0.49"]',
        "clobTokenIds": f'["{YES}", "{NO}"]',
        "bestBid": 0.5,
        "bestAsk": 0.52,
        "lastTradePrice": 0.5,
        "volume": "832995.125818007",
        "volumeNum": 832995.125818007,
        "volume24hr": 2502.25,
        "oneDayPriceChange": 0.01,
        "active": True,
        "closed": False,
        "acceptingOrders": True,
        "enableOrderBook": True,
        "startDate": "2025-05-02T15:48:10.582Z",
        "endDate": "2026-07-31T12:00:00Z",
    }
    return {key: value for key, value in (row | change).items() if value is not ...}


def book(**change: Any) -> dict[str, Any]:
    """A CLOB book of outcome 0 as sent: the best level last on both sides."""
    levels = {
        "asset_id": YES,
        "timestamp": "1754000000000",
        "bids": [{"price": "0.01", "size": "900"}, {"price": "0.49", "size": "5"}, {"price": "0.50", "size": "7"}],
        "asks": [{"price": "0.99", "size": "900"}, {"price": "0.53", "size": "5"}, {"price": "0.52", "size": "3"}],
        "last_trade_price": "0.51",
    }
    return {key: value for key, value in (levels | change).items() if value is not ...}


def kalshi(**change: Any) -> dict[str, Any]:
    """A Kalshi market row, two-sided, changed; a value of ... takes the key away."""
    row = {
        "ticker": "KXGAME-26AUG13-CIN",
        "event_ticker": "KXGAME-26AUG13",
        "market_type": "binary",
        "title": "Will Cincinnati win?",
        "yes_sub_title": "Cincinnati",
        "open_time": "2026-06-29T18:01:00Z",
        "close_time": "2026-08-15T23:00:00Z",
        "expected_expiration_time": "2026-08-14T05:00:00Z",
        "occurrence_datetime": "2026-08-14T02:00:00Z",
        "status": "active",
        "result": "",
        "yes_bid_dollars": "0.7300",
        "yes_bid_size_fp": "10161.06",
        "yes_ask_dollars": "0.7400",
        "yes_ask_size_fp": "3420.81",
        "no_bid_dollars": "0.2600",
        "no_ask_dollars": "0.2700",
        "last_price_dollars": "0.7400",
        "volume_fp": "20840.35",
        "volume_24h_fp": "6458.64",
    }
    return {key: value for key, value in (row | change).items() if value is not ...}


def shown_of(reader: Reader, row: Any, kind: str = "markets") -> Shown:
    """What the one row of a page shows."""
    [(shown, _)] = all_shown(reader, [row], kind).events
    return shown


def all_shown(reader: Reader, rows: list[Any], kind: str = "markets") -> Mapped[tuple[Shown, Any]]:
    """What a page's rows show."""
    return show(reader, page(kind, rows), MOMENT, nothing_shown)


def market_of(reader: Reader, row: Any, kind: str = "markets") -> Market:
    """The one market in the one row of a page."""
    [market] = learn(reader, page(kind, [row]), MOMENT).events
    return market
