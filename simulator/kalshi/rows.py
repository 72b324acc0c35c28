"""Rows as Kalshi gives them: dollar strings, `_fp` counts, "0.0000"/"1.0000" for empty sides, no category in a market.

Held against the fixtures (`current_events_nested_nfl`, `current_markets_settled`, `current_series_four`,
`current_market_single_plus_orderbook`, `mid2026_markets_mve_only_2026-06`) by tests.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any
from zlib import crc32

import orjson

from schemas.units import PPM, datetime_from_micros
from simulator.tape import Market
from simulator.world import DAY_US, Levels, MarketState, World

ROW_STATUS = {"open": "active", "closed": "closed", "settled": "finalized"}
"""Phase of a market → `status` in its row. The filter words differ: open, closed, settled."""


@lru_cache(maxsize=100_000)
def dollars(ppm: int) -> str:
    """A price as Kalshi writes it: four decimals, more only where needed."""
    text = f"{ppm / PPM:.6f}"
    return text[:-2] if text.endswith("00") else text.rstrip("0")


def count(number: float) -> str:
    """A count as Kalshi writes it: "10161.06"."""
    return f"{number:.2f}"


def count_centi(centi: int) -> str:
    """A count from hundredths of a contract."""
    return f"{centi // 100}.{centi % 100:02d}"


def iso(ts_us: int) -> str:
    """`2026-07-23T23:35:36.451911Z`; without the fraction on a whole second."""
    return datetime_from_micros(ts_us).isoformat().replace("+00:00", "Z")


def levels_rows(levels: Levels) -> list[list[str]]:
    """A book side: pairs of price and count, ascending, best last."""
    return [[dollars(price), count_centi(levels[price])] for price in sorted(levels)]


def no_levels(asks: Levels) -> Levels:
    """The NO bids that YES asks are: a YES ask at p is a NO bid at 1 - p."""
    return {PPM - price: size for price, size in asks.items()}


def orderbook(state: MarketState) -> dict[str, Any]:
    """`orderbook_fp` of a market: bids of both outcomes only."""
    bids, asks = state.book()
    return {"no_dollars": levels_rows(no_levels(asks)), "yes_dollars": levels_rows(bids)}


def top_centi(state: MarketState) -> tuple[int, int]:
    """Sizes at the best YES bid and ask, hundredths of a contract; 0 for an empty side."""
    bids, asks = state.book()
    return (bids[max(bids)] if bids else 0), (asks[min(asks)] if asks else 0)


def prices(state: MarketState) -> dict[str, Any]:
    """The quote fields of a row. An emptied book reads bid 0 and ask 1 on both outcomes."""
    bid, ask = state.bid_ppm, state.ask_ppm
    emptied = bid is None and ask is None
    bid_centi, ask_centi = top_centi(state)
    yes_bid, yes_ask = bid or 0, PPM if ask is None else ask
    return {
        "yes_bid_dollars": dollars(yes_bid),
        "yes_ask_dollars": dollars(yes_ask),
        "no_bid_dollars": dollars(0 if emptied else PPM - yes_ask),
        "no_ask_dollars": dollars(PPM if emptied else PPM - yes_bid),
        "yes_bid_size_fp": count_centi(bid_centi),
        "yes_ask_size_fp": count_centi(ask_centi),
        "last_price_dollars": dollars(state.last_ppm or 0),
    }


class KalshiRows:
    """Renders Kalshi rows of one world. A row is rendered again only after its market has changed."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._static: dict[str, bytes] = {}

    def market(self, state: MarketState) -> bytes:
        """A market row, the same in `/markets`, `/markets/{t}` and nested in events."""
        row = state.rendered.get("kalshi")
        if row is None:
            static = self._static.get(state.market.market)
            if static is None:
                static = self._static[state.market.market] = orjson.dumps(_slow_fields(state))[:-1]
            row = state.rendered["kalshi"] = static + b"," + orjson.dumps(_fast_fields(state))[1:]
        return row

    def event(self, states: list[MarketState], *, nested: bool) -> bytes:
        """An event row, its markets inside when asked for."""
        row = orjson.dumps(_event_fields(states))
        if not nested:
            return row
        return row[:-1] + b',"markets":[' + b",".join(self.market(state) for state in states) + b"]}"


def series_row(states: list[MarketState]) -> dict[str, Any]:
    """A series, from any of its markets: this is where the category stands."""
    market = states[0].market
    return {
        "additional_prohibitions": [],
        "category": market.category,
        "contract_terms_url": "",
        "contract_url": "",
        "exchange_index": 0,
        "fee_multiplier": 1,
        "fee_type": "quadratic",
        "frequency": "custom",
        "last_updated_ts": iso(states[0].listed_us),
        "settlement_sources": [{"name": "Simulated source", "url": ""}],
        "tags": list(market.tags),
        "ticker": market.series,
        "title": market.series_title or market.series,
    }


def combo_row(legs: tuple[MarketState, MarketState]) -> bytes:
    """A user-made combination market with an empty book, as the first pages of an unfiltered listing are full of."""
    mark = f"{crc32(':'.join(leg.market.market for leg in legs).encode()):08X}"
    event = f"KXMVESPORTSMULTIGAMEEXTENDED-S2026{mark}"
    title = ",".join(f"yes {leg.market.option or leg.market.title}" for leg in legs)
    closes_us = max(_closes_us(leg) for leg in legs)
    tickers = ",".join(leg.market.market for leg in legs)
    row = _row_basics(closes_us, legs[0].listed_us) | {
        "ticker": f"{event}-{mark[::-1]}",
        "event_ticker": event,
        "title": title,
        "yes_sub_title": title,
        "no_sub_title": title,
        "custom_strike": {"Associated Markets": tickers, "Associated Market Sides": "yes,yes"},
        "strike_type": "custom",
        "is_provisional": True,
        "mve_collection_ticker": "KXMVESPORTSMULTIGAMEEXTENDED-R",
        "mve_selected_legs": [
            {"event_ticker": leg.market.event, "market_ticker": leg.market.market, "side": "yes"} for leg in legs
        ],
        "price_level_structure": "deci_cent",
        "price_ranges": [{"end": "1.0000", "start": "0.0000", "step": "0.0010"}],
        "status": "active",
        "result": "",
        "updated_time": iso(legs[0].listed_us),
    }
    empty = {"yes_bid_dollars": "0.0000", "yes_ask_dollars": "0.0000", "no_bid_dollars": "1.0000"}
    empty |= {"no_ask_dollars": "1.0000", "last_price_dollars": "0.0000", "previous_price_dollars": "0.0000"}
    empty |= dict.fromkeys(("previous_yes_bid_dollars", "previous_yes_ask_dollars"), "0.0000")
    empty |= dict.fromkeys(("volume_fp", "volume_24h_fp", "open_interest_fp"), "0.00")
    return orjson.dumps(row | empty | dict.fromkeys(("yes_bid_size_fp", "yes_ask_size_fp"), "0.00"))


def _closes_us(state: MarketState) -> int:
    return state.market.closes_us or state.listed_us + 365 * DAY_US


def _row_basics(closes_us: int, opened_us: int) -> dict[str, Any]:
    return {
        "market_type": "binary",
        "can_close_early": True,
        "created_time": iso(opened_us),
        "open_time": iso(opened_us),
        "close_time": iso(closes_us),
        "expected_expiration_time": iso(closes_us),
        "expiration_time": iso(closes_us + 7 * DAY_US),
        "latest_expiration_time": iso(closes_us + 7 * DAY_US),
        "expiration_value": "",
        "exchange_index": 0,
        "liquidity_dollars": "0.0000",
        "notional_value_dollars": "1.0000",
        "settlement_timer_seconds": 60,
        "rules_primary": "",
        "rules_secondary": "",
    }


def _slow_fields(state: MarketState) -> dict[str, Any]:
    market = state.market
    opened_us = state.listed_us if market.opened_us is None else market.opened_us
    option = market.option or market.outcomes[0]
    row = _row_basics(_closes_us(state), opened_us) | {
        "ticker": market.market,
        "event_ticker": market.event,
        "title": market.title,
        "subtitle": option,
        "yes_sub_title": option,
        "no_sub_title": option,
        "occurrence_datetime": iso(_closes_us(state)),
        "rules_primary": f"If so: {market.title} ({option}), then the market resolves to Yes.",
        "early_close_condition": "This market will close and expire early if the event occurs.",
        "strike_type": "custom" if market.strike is None else "greater",
        **_grid(market),
    }
    if market.strike is not None:
        row["floor_strike"] = market.strike
    del row["close_time"]  # moves when trading ends early, so it is a fast field
    return row


def _grid(market: Market) -> dict[str, Any]:
    name = "linear_cent" if market.tick >= 0.01 else "deci_cent"
    step = dollars(round(market.tick * PPM))
    return {"price_level_structure": name, "price_ranges": [{"end": "1.0000", "start": "0.0000", "step": step}]}


def _fast_fields(state: MarketState) -> dict[str, Any]:
    day_ago = state.price_at(state.changed_us - DAY_US)
    row = prices(state) | {
        "previous_price_dollars": dollars(day_ago or 0),
        "previous_yes_bid_dollars": dollars(max(0, (day_ago or 0) - state.tick_ppm)),
        "previous_yes_ask_dollars": dollars(min(PPM, day_ago + state.tick_ppm) if day_ago else 0),
        "volume_fp": count(state.volume),
        "volume_24h_fp": count(state.volume_24h),
        "open_interest_fp": count(state.volume * 0.44),
        "status": ROW_STATUS[state.phase],
        "result": "" if state.winner is None else ("yes" if state.winner == 0 else "no"),
        "updated_time": iso(state.changed_us),
        "close_time": iso(_closes_us(state) if state.ended_us is None else state.ended_us),
    }
    if state.settled_us is not None:
        row["settlement_ts"] = iso(state.settled_us)
        row["settlement_value_dollars"] = dollars(PPM if state.winner == 0 else 0)
    return row


def _event_fields(states: list[MarketState]) -> dict[str, Any]:
    market = states[0].market
    return {
        "available_on_brokers": True,
        "category": market.category,
        "collateral_return_type": "MECNET" if market.exclusive else "",
        "event_ticker": market.event,
        "exchange_index": 0,
        "last_updated_ts": iso(states[0].listed_us),
        "mutually_exclusive": market.exclusive,
        "series_ticker": market.series,
        "settlement_sources": [{"name": "Simulated source", "url": ""}],
        "strike_period": "",
        "sub_title": "",
        "title": market.event_title,
    }
