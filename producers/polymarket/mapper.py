"""Polymarket rows to markets and what they show. Pure: no I/O, no clock. What a row lacks stays None."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from decimal import Decimal, InvalidOperation

from producers.fields import (
    Row,
    amount,
    bad_row,
    flag,
    instant_us,
    optional_text,
    price_ppm,
    required_text,
)
from producers.polymarket.settings import CATEGORY_OF_TAG, ID_PREFIX, NAME
from producers.polymarket.wire import best_level, texts
from producers.quotes import Quote, quote
from producers.ticks import Earlier, Moment, Shown
from producers.tracked import content_id
from schemas.events import Market
from schemas.units import PPM, US_PER_S
from schemas.words import OPEN_STATUSES, Category, MarketStatus

_CHANGES = (("oneDayPriceChange", 86_400), ("oneHourPriceChange", 3_600))
_RANK = {slug: rank for rank, slug in enumerate(CATEGORY_OF_TAG)}
_SITE = "https://polymarket.com/event/"


@dataclass(frozen=True, slots=True)
class Event:
    """What a market takes from its event. All empty when there is none."""

    event_id: str = ""
    slug: str = ""
    title: str = ""
    neg_risk: bool = False
    tags: tuple[tuple[str, str], ...] = ()
    """Label and slug of each."""


def event(row: Row) -> Event:
    """An event, whole or as the stub inside a market row."""
    return Event(
        event_id=required_text(row, "id"),
        slug=optional_text(row, "slug"),
        title=optional_text(row, "title"),
        neg_risk=bool(row.get("negRisk")),
        tags=tuple(
            (str(tag.get("label") or ""), str(tag.get("slug") or ""))
            for tag in row.get("tags") or ()
            if isinstance(tag, dict)
        ),
    )


def market(row: Row, of_event: Event, moment: Moment) -> Market:
    """A Gamma market row as a Market.

    Raises:
        BadMessageError: not_binary (a scalar or many-sided market of the early days), missing_field, bad_field …
    """
    condition_id, tokens = _identity(row)
    outcomes = texts(row, "outcomes")
    status, result = _status(row, outcomes, moment.as_of_us)
    slug = optional_text(row, "slug")
    category, word = _category(of_event, row)
    mapped = Market(
        event_id="",
        venue=NAME,
        market_id=ID_PREFIX + condition_id,
        venue_market_id=condition_id,
        token_ids=tuple(ID_PREFIX + token for token in tokens),
        outcomes=outcomes,
        title=required_text(row, "question"),
        event_key=f"{ID_PREFIX}EVENT:{of_event.event_id}" if of_event.event_id else "",
        event_title=of_event.title,
        mutually_exclusive=of_event.neg_risk or bool(row.get("negRisk")),
        category=category,
        venue_category=word,
        tags=tuple(label for label, _ in of_event.tags),
        status=status,
        result=result,
        open_ts_us=instant_us(row, "startDate"),
        close_ts_us=instant_us(row, "endDate"),
        url=f"{_SITE}{of_event.slug}/{slug}" if of_event.slug and slug else "",
        ts_event_us=moment.as_of_us,
        ts_received_us=moment.ts_received_us,
    )
    return replace(mapped, event_id=content_id(mapped))


def shown(row: Row, moment: Moment) -> Shown:
    """What a Gamma market row shows of outcome 0.

    Raises:
        BadMessageError: as `market`.
    """
    condition_id, tokens = _identity(row)
    status, _ = _status(row, texts(row, "outcomes"), moment.as_of_us)
    return Shown(
        market_id=ID_PREFIX + condition_id,
        token_id=ID_PREFIX + tokens[0],
        quote=quote(
            price_ppm(row, "bestBid"),
            price_ppm(row, "bestAsk"),
            price_ppm(row, "lastTradePrice"),
            tradable=status in OPEN_STATUSES,
        ),
        market_status=status,
        volume_24h_usd=amount(row, "volume24hr"),
        volume_total_usd=amount(row, "volumeNum"),
        close_ts_us=instant_us(row, "endDate"),
    )


def earlier(row: Row, now: Shown, moment: Moment) -> tuple[Earlier, ...]:
    """The prices a day and an hour before, from the changes that a Gamma row states; about half of the rows do.

    Which price the venue compares is not documented, so each is taken for one like today's. A price outside 0..1 shows
    that it was another, and is left out; so is one from before the market opened.

    Raises:
        BadMessageError: bad_price.
    """
    price, opened_us = now.quote.price_ppm, instant_us(row, "startDate")
    told: list[Earlier] = []
    for key, before_s in _CHANGES:
        change = price_ppm(row, key)
        if price is None or change is None or not 0 < price - change < PPM:
            continue
        then_us = moment.as_of_us - before_s * US_PER_S
        if opened_us is None or opened_us <= then_us:
            told.append(Earlier(ts_us=then_us, quote=priced(price - change, now)))
    return tuple(told)


def priced(price_ppm: int, now: Shown) -> Quote:
    """The quote of a price that the venue names alone: taken for one like today's, a mid or a last trade."""
    return Quote(
        bid_ppm=None,
        ask_ppm=None,
        last_ppm=None,
        price_ppm=price_ppm,
        price_basis=now.quote.price_basis,
        bid_size_contracts=None,
        ask_size_contracts=None,
        flags=(),
    )


def book_shown(row: Row, newest: Shown) -> Shown:
    """What a CLOB book of outcome 0 shows. Volume, status and end are the newest Gamma row's: a book has none.

    Raises:
        BadMessageError: bad_book, bad_price.
    """
    bid, bid_size = best_level(row, "bids")
    ask, ask_size = best_level(row, "asks")
    last = price_ppm(row, "last_trade_price") if "last_trade_price" in row else newest.quote.last_ppm
    seen = quote(
        bid,
        ask,
        last,
        bid_size_contracts=bid_size,
        ask_size_contracts=ask_size,
        tradable=newest.market_status in OPEN_STATUSES,
    )
    return replace(newest, quote=seen, ts_venue_us=None)


def _identity(row: Row) -> tuple[str, tuple[str, ...]]:
    """Condition id and the two token ids."""
    condition_id = required_text(row, "conditionId")
    outcomes = texts(row, "outcomes")
    if row.get("marketType") == "scalar" or len(outcomes) != 2:
        raise bad_row("not_binary", f"{condition_id} has outcomes {outcomes} ({row.get('marketType')})", row)
    tokens = texts(row, "clobTokenIds")
    if len(tokens) != 2 or not all(tokens):
        raise bad_row("missing_field", f"{condition_id} has {len(tokens)} token ids", row)
    return condition_id, tokens


def _status(row: Row, outcomes: tuple[str, ...], now_us: int) -> tuple[MarketStatus, str | None]:
    """Our status word, and the winner's label once settled.

    `closed` decides, whatever `acceptingOrders` says (a real row of 2026-04 has both true). Past its end date a market
    is still open while it takes orders; when it does not, it waits for its resolution.
    """
    if flag(row, "closed"):
        winner = _winner(row, outcomes)
        resolved = winner is not None or row.get("umaResolutionStatus") in ("resolved", "settled")
        return ("settled" if resolved else "closed"), winner
    if flag(row, "active") is False or flag(row, "enableOrderBook") is False:
        return "unopened", None
    if flag(row, "acceptingOrders") is not False:
        return "open", None
    ends_us = instant_us(row, "endDate")
    over = bool(row.get("umaResolutionStatus")) or (ends_us is not None and ends_us <= now_us)
    return ("closed" if over else "paused"), None


def _winner(row: Row, outcomes: tuple[str, ...]) -> str | None:
    """Label of the outcome whose price is exactly 1 while the other's is exactly 0. Legacy rows show 0 and 0."""
    try:
        prices = [Decimal(price) for price in texts(row, "outcomePrices")]
    except InvalidOperation as error:
        raise bad_row("bad_price", f"outcomePrices: {row.get('outcomePrices')!r}"[:200], row) from error
    # Exactly: some markets of 2020 stopped at 0.99999897, which is a last price and no resolution.
    return outcomes[prices.index(Decimal(1))] if sorted(prices) == [0, 1] else None


def category_of(slugs: Iterable[str]) -> Category:
    """Our category by the most telling tag."""
    ranked = [(_RANK[slug], slug) for slug in slugs if slug in _RANK]
    return CATEGORY_OF_TAG[min(ranked)[1]] if ranked else "other"


def _category(of_event: Event, row: Row) -> tuple[Category, str]:
    """Our category, and the venue's word that decided: the most telling tag, else what marks a game, else the field of
    2020-era rows."""
    ranked = [(_RANK[slug], slug, label) for label, slug in of_event.tags if slug in _RANK]
    if ranked:
        _, slug, label = min(ranked)
        return CATEGORY_OF_TAG[slug], label
    if row.get("sportsMarketType") or row.get("gameId"):  # a game, though nobody tagged its event
        return "sports", optional_text(row, "category") or optional_text(row, "sportsMarketType")
    word = optional_text(row, "category")
    return CATEGORY_OF_TAG.get(word.lower().replace(" ", "-"), "other"), word
