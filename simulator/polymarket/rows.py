"""Rows as Polymarket's Gamma and CLOB give them: JSON inside strings, absent keys, best book level last.

Held against the fixtures (`gamma_markets_page_2026-06`, `gamma_event_negrisk_multi_2026-05`,
`gamma_markets_closed_batch_2026-06`, `clob_books_batch_2026-05`, `clob_book_empty_ask_2026-08`) by tests.
"""

from __future__ import annotations

import hashlib
from functools import lru_cache
from typing import Any
from zlib import crc32

import orjson

from schemas.units import PPM, datetime_from_micros
from simulator import ids
from simulator.tape import Market
from simulator.world import DAY_US, Levels, MarketState, World

HOUR_US = DAY_US // 24


@lru_cache(maxsize=100_000)
def decimal(ppm: int) -> str:
    """A price as CLOB writes it: "0.51", "0.005", "0", "1"."""
    return f"{ppm / PPM:.6f}".rstrip("0").rstrip(".")


def size_text(centi: int) -> str:
    """A size as CLOB writes it: "705", "192.3"."""
    return f"{centi / 100:.2f}".rstrip("0").rstrip(".")


def iso(ts_us: int) -> str:
    """`2026-06-21T18:26:26.563193Z`; without the fraction on a whole second."""
    return datetime_from_micros(ts_us).isoformat().replace("+00:00", "Z")


def short_offset(ts_us: int) -> str:
    """Gamma's second form: `2026-06-10 13:13:13+00`."""
    return datetime_from_micros(ts_us).strftime("%Y-%m-%d %H:%M:%S+00")


def text_list(items: tuple[str, ...] | list[str]) -> str:
    """A JSON array inside a string, with a space after the comma as Gamma writes it."""
    return "[" + ", ".join(orjson.dumps(item).decode() for item in items) + "]"


def tag_rows(tags: tuple[str, ...]) -> list[dict[str, Any]]:
    """Tags as an event carries them."""
    return [
        {"id": ids.gamma_id("tag:" + tag, digits=6), "label": tag, "slug": ids.slug(tag), "requiresTranslation": False}
        for tag in tags
    ]


class GammaRows:
    """Renders Gamma rows of one world. A row is rendered again only after its market has changed."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._static: dict[str, bytes] = {}
        self._stubs: dict[str, bytes] = {}

    def market(self, state: MarketState, *, include_tag: bool = False) -> bytes:
        """A row of `/markets`: with its event inside, and tags only when asked for."""
        stub = self._event_stub(state.market)
        tags = b',"tags":' + orjson.dumps(tag_rows(state.market.tags)) if include_tag else b""
        return self.nested(state)[:-1] + b',"events":[' + stub + b"]" + tags + b"}"

    def nested(self, state: MarketState) -> bytes:
        """The same row as it stands inside an event."""
        row = state.rendered.get("gamma")
        if row is None:
            static = self._static.get(state.market.market)
            if static is None:
                static = self._static[state.market.market] = orjson.dumps(_slow_fields(state))[:-1]
            row = state.rendered["gamma"] = static + b"," + orjson.dumps(_fast_fields(state))[1:]
        return row

    def event(self, states: list[MarketState]) -> bytes:
        """A row of `/events`, its markets and tags inside."""
        first = states[0].market
        volume, volume_24h = sum(s.volume for s in states), sum(s.volume_24h for s in states)
        liquidity = sum(liquidity_usd(s) for s in states)
        fast = {
            "active": True,
            "closed": is_closed(states),
            "updatedAt": iso(max(state.changed_us for state in states)),
            "volume": round(volume, 6),
            "volume24hr": round(volume_24h, 6),
            "liquidity": round(liquidity, 5),
            "liquidityClob": round(liquidity, 5),
            "openInterest": round(volume * 0.11, 6),
            "tags": tag_rows(first.tags),
        }
        markets = b",".join(self.nested(state) for state in states)
        return self._event_stub(first)[:-1] + b"," + orjson.dumps(fast)[1:-1] + b',"markets":[' + markets + b"]}"

    def _event_stub(self, market: Market) -> bytes:
        stub = self._stubs.get(market.event)
        if stub is None:
            stub = self._stubs[market.event] = orjson.dumps(_event_fields(self._world.events[market.event]))
        return stub


def is_closed(states: list[MarketState]) -> bool:
    """Whether an event has no market left that is not settled."""
    return all(state.phase == "settled" for state in states)


def liquidity_usd(state: MarketState) -> float:
    """What rests in the book, in US dollars; none once trading is over."""
    if state.phase != "open":
        return 0.0
    top = (state.bid_centi or 0) + (state.ask_centi or 0)
    return round(top / 100 * 7.3 + crc32(state.market.market.encode()) % 4_000, 5)


def _event_fields(states: list[MarketState]) -> dict[str, Any]:
    market, started_us = states[0].market, _started_us(states[0])
    row: dict[str, Any] = {
        "id": market.event_id,
        "ticker": market.event,
        "slug": market.event,
        "title": market.event_title,
        "description": f"This event is about: {market.event_title}",
        "resolutionSource": "",
        "startDate": iso(started_us),
        "creationDate": iso(started_us),
        "createdAt": iso(started_us),
        "image": "",
        "icon": "",
        "archived": False,
        "new": False,
        "featured": False,
        "restricted": True,
        "enableOrderBook": True,
        "negRisk": market.exclusive,
        "enableNegRisk": market.exclusive,
        "negRiskAugmented": False,
        "commentCount": 0,
        "cyom": False,
        "showAllOutcomes": True,
        "showMarketImages": False,
        "automaticallyActive": True,
        "pendingDeployment": False,
        "deploying": False,
        "requiresTranslation": False,
    }
    if market.closes_us is not None:
        row["endDate"] = iso(market.closes_us)
    if market.exclusive:
        row["negRiskMarketID"] = ids.condition_id(market.event)[:-2] + "00"
    if market.series:
        series = {"id": ids.gamma_id(market.series, digits=5), "ticker": market.series, "slug": market.series}
        series |= {"title": market.series_title or market.series, "seriesType": "single"}
        row["series"] = [series | {"active": True, "closed": False, "archived": False}]
        row["seriesSlug"] = market.series
    return row


def _started_us(state: MarketState) -> int:
    return state.listed_us if state.market.opened_us is None else state.market.opened_us


def _slow_fields(state: MarketState) -> dict[str, Any]:
    market, started_us = state.market, _started_us(state)
    row: dict[str, Any] = {
        "id": market.market_id,
        "question": market.title,
        "conditionId": market.market,
        "questionID": ids.question_id(market.market),
        "slug": f"{ids.slug(market.title)}-{market.market_id[-3:]}",
        "description": f'This market will resolve to "{market.outcomes[0]}" if: {market.title}',
        "resolutionSource": "",
        "outcomes": text_list(market.outcomes),
        "clobTokenIds": text_list(market.tokens),
        "startDate": iso(started_us),
        "startDateIso": iso(started_us)[:10],
        "createdAt": iso(started_us),
        "acceptingOrdersTimestamp": iso(started_us),
        "image": "",
        "icon": "",
        "marketMakerAddress": "",
        "archived": False,
        "new": False,
        "featured": False,
        "restricted": True,
        "enableOrderBook": True,
        "orderPriceMinTickSize": market.tick,
        "orderMinSize": 5,
        "hasReviewedDates": True,
        "umaBond": "500",
        "umaReward": "5",
        "customLiveness": 0,
        "makerBaseFee": 1000,
        "takerBaseFee": 1000,
        "negRisk": market.exclusive,
        "negRiskOther": False,
        "negRiskRequestID": "",
        "ready": False,
        "funded": False,
        "cyom": False,
        "approved": True,
        "rfqEnabled": False,
        "feesEnabled": True,
        "feeType": "general_fees",
        "feeSchedule": {"exponent": 1, "rate": 0.05, "rebateRate": 0.25, "takerOnly": True},
        "holdingRewardsEnabled": False,
        "rewardsMinSize": 50,
        "rewardsMaxSpread": 3.5,
        "clearBookOnStart": True,
        "automaticallyActive": True,
        "manualActivation": False,
        "pendingDeployment": False,
        "deploying": False,
        "pagerDutyNotificationEnabled": False,
        "requiresTranslation": False,
    }
    if market.option:
        row["groupItemTitle"] = market.option
    if market.closes_us is not None:
        row |= {"endDate": iso(market.closes_us), "endDateIso": iso(market.closes_us)[:10]}
    if market.exclusive:
        row["negRiskMarketID"] = ids.condition_id(market.event)[:-2] + "00"
    return row


def _fast_fields(state: MarketState) -> dict[str, Any]:
    volume, volume_24h = round(state.volume, 6), round(state.volume_24h, 6)
    liquidity = liquidity_usd(state)
    row: dict[str, Any] = {
        "active": True,
        "closed": state.phase == "settled",
        "acceptingOrders": state.phase == "open",
        "volume": repr(volume),
        "volumeNum": volume,
        "volumeClob": volume,
        "volume24hr": volume_24h,
        "volume24hrClob": volume_24h,
        "volume1wk": round(min(volume, volume_24h * 4.6), 6),
        "updatedAt": iso(state.changed_us),
        "umaResolutionStatuses": "[]",
    }
    if state.phase != "settled":
        row |= {"liquidity": repr(liquidity), "liquidityNum": liquidity, "liquidityClob": liquidity}
    else:
        row["umaResolutionStatuses"] = '["proposed"]'
        row["umaResolutionStatus"] = "resolved"
        if state.settled_us is not None:
            row |= {"closedTime": short_offset(state.settled_us), "umaEndDate": iso(state.settled_us)}
    return row | _price_fields(state)


def _price_fields(state: MarketState) -> dict[str, Any]:
    """Quotes of outcome 0. An empty side is an absent key in one half of the markets, 0 or 1 in the other half."""
    row: dict[str, Any] = {}
    bid, ask, price = state.bid_ppm, state.ask_ppm, state.price_ppm()
    if state.phase != "settled" and crc32(state.market.market.encode()) % 2:
        bid, ask = bid or 0, PPM if ask is None else ask
    if price is None and not (state.bid_ppm is None and state.ask_ppm is None):
        price = ((state.bid_ppm or 0) + (PPM if state.ask_ppm is None else state.ask_ppm)) // 2
    if price is not None:
        row["outcomePrices"] = text_list([decimal(price), decimal(PPM - price)])
    if bid is not None:
        row["bestBid"] = bid / PPM
    if ask is not None:
        row["bestAsk"] = ask / PPM
    if bid is not None and ask is not None:
        row["spread"] = (ask - bid) / PPM
    if state.last_ppm is not None:
        row["lastTradePrice"] = state.last_ppm / PPM
    if price is not None:
        for key, back_us in (("oneHourPriceChange", HOUR_US), ("oneDayPriceChange", DAY_US)):
            before = state.price_at(state.changed_us - back_us)
            if before is not None:
                row[key] = (price - before) / PPM
    return row


# ── CLOB ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


def mirrored(levels: Levels) -> Levels:
    """One side of outcome 0's book as the other side of outcome 1's: a bid at p is an ask at 1 - p."""
    return {PPM - price: size for price, size in levels.items()}


def token_book(state: MarketState, index: int) -> tuple[Levels, Levels]:
    """Bids and asks of one outcome's token."""
    bids, asks = state.book()
    return (bids, asks) if index == 0 else (mirrored(asks), mirrored(bids))


def book_row(state: MarketState, index: int) -> dict[str, Any]:
    """A CLOB book object. Bids ascend, asks descend: the best level is the last of each."""
    bids, asks = token_book(state, index)
    last = state.last_ppm
    row: dict[str, Any] = {
        "market": state.market.market,
        "asset_id": state.market.tokens[index],
        "timestamp": str(state.changed_us // 1_000),
        "hash": "",
        "bids": [{"price": decimal(price), "size": size_text(bids[price])} for price in sorted(bids)],
        "asks": [{"price": decimal(price), "size": size_text(asks[price])} for price in sorted(asks, reverse=True)],
        "min_order_size": "5",
        "tick_size": f"{state.market.tick:g}",
        "neg_risk": state.market.exclusive,
        "last_trade_price": "" if last is None else decimal(last if index == 0 else PPM - last),
    }
    row["hash"] = hashlib.sha1(orjson.dumps(row), usedforsecurity=False).hexdigest()
    return row
