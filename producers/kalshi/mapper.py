"""Kalshi rows to markets and what they show. Pure: no I/O, no clock. What a row lacks stays None."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from producers.fields import Row, amount, bad_row, instant_us, optional_text, price_ppm, required_text
from producers.kalshi.settings import CATEGORY, ID_PREFIX, NAME, STATUS
from producers.quotes import quote
from producers.ticks import Earlier, Moment, Shown
from producers.tracked import content_id
from schemas.events import Market
from schemas.units import PPM, US_PER_S
from schemas.words import OPEN_STATUSES, Category, MarketStatus

OUTCOMES = ("Yes", "No")
_SITE = "https://kalshi.com/markets/"
_DAY_US = 86_400 * US_PER_S
_PREVIOUS = ("previous_yes_bid_dollars", "previous_yes_ask_dollars", "previous_price_dollars")


@dataclass(frozen=True, slots=True)
class Series:
    """Where category and tags stand."""

    category: str = ""
    tags: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Event:
    """What a market takes from its event."""

    ticker: str = ""
    series: str = ""
    title: str = ""
    category: str = ""
    exclusive: bool = False
    shared_titles: frozenset[str] = frozenset()
    """Titles that more than one market of the event has."""


def series(row: Row) -> tuple[str, Series]:
    """A series by its ticker."""
    tags = row.get("tags")
    return required_text(row, "ticker"), Series(
        category=optional_text(row, "category"),
        tags=tuple(str(tag) for tag in tags) if isinstance(tags, list) else (),
    )


def event(row: Row) -> Event:
    """An event, with or without its markets inside."""
    titles = [str(m.get("title") or "") for m in row.get("markets") or () if isinstance(m, dict)]
    return Event(
        ticker=required_text(row, "event_ticker"),
        series=optional_text(row, "series_ticker"),
        title=optional_text(row, "title"),
        category=optional_text(row, "category"),
        exclusive=bool(row.get("mutually_exclusive")),
        shared_titles=frozenset(title for title in titles if titles.count(title) > 1),
    )


def category_of(words: Iterable[str]) -> Category:
    """Our category by the first of the words that names one of Kalshi's."""
    return next((CATEGORY[word] for word in words if word in CATEGORY), "other")


def market(row: Row, of_event: Event, of_series: Series, moment: Moment) -> Market:
    """A market row as a Market.

    Raises:
        BadMessageError: not_binary (its price is of an amount, and no probability), missing_field,
            bad_status, bad_time …
    """
    ticker, status = _identity(row)
    word = of_series.category or of_event.category
    result = optional_text(row, "result")
    event_ticker = of_event.ticker or optional_text(row, "event_ticker")
    mapped = Market(
        event_id="",
        venue=NAME,
        market_id=ID_PREFIX + ticker,
        venue_market_id=ticker,
        token_ids=(f"{ID_PREFIX}{ticker}:YES", f"{ID_PREFIX}{ticker}:NO"),
        outcomes=OUTCOMES,
        title=_title(row, of_event),
        event_key=f"{ID_PREFIX}EVENT:{event_ticker}" if event_ticker else "",
        event_title=of_event.title,
        mutually_exclusive=of_event.exclusive,
        category=category_of((word,)),
        venue_category=word,
        tags=of_series.tags,
        status=status,
        # A binary market can be settled to an amount ("scalar"), or voided (""): then nobody has won.
        result={"yes": "Yes", "no": "No"}.get(result) if status == "settled" else None,
        open_ts_us=instant_us(row, "open_time"),
        close_ts_us=_ends_us(row),
        # The slug between series and event is not in the API. This form is used elsewhere and said to lead there.
        url=f"{_SITE}{of_event.series.lower()}" if of_event.series else "",
        ts_event_us=moment.as_of_us,
        ts_received_us=moment.ts_received_us,
    )
    return replace(mapped, event_id=content_id(mapped))


def shown(row: Row) -> Shown:
    """What a market row shows of YES.

    Kalshi counts volume in contracts. `volume_24h_usd` is contracts times the price now: an estimate, off by as much
    as the price moved in the day.

    Raises:
        BadMessageError: as `market`; also when the row has no dollar prices (the cents era).
    """
    ticker, status = _identity(row)
    if "yes_bid_dollars" not in row or "yes_ask_dollars" not in row:
        raise bad_row("missing_field", f"{ticker} has no yes_bid_dollars or no yes_ask_dollars", row)
    seen = quote(
        price_ppm(row, "yes_bid_dollars"),
        price_ppm(row, "yes_ask_dollars"),
        price_ppm(row, "last_price_dollars"),
        bid_size_contracts=amount(row, "yes_bid_size_fp"),
        ask_size_contracts=amount(row, "yes_ask_size_fp"),
        tradable=status in OPEN_STATUSES,
    )
    market_id = ID_PREFIX + ticker
    return Shown(
        market_id=market_id,
        token_id=market_id + ":YES",
        quote=seen,
        market_status=status,
        volume_24h_usd=_usd(amount(row, "volume_24h_fp"), seen.price_ppm or seen.last_ppm),
        volume_total_contracts=amount(row, "volume_fp"),
        close_ts_us=_ends_us(row),
    )


def earlier(row: Row, now: Shown, moment: Moment) -> tuple[Earlier, ...]:
    """The quote a day before, where a row has it. There is none of an hour before.

    Raises:
        BadMessageError: bad_price.
    """
    then = quote(*(price_ppm(row, key) for key in _PREVIOUS))
    told = Earlier(ts_us=moment.as_of_us - _DAY_US, quote=then)
    opened_us = instant_us(row, "open_time")
    known = then.price_ppm is not None and (opened_us is None or opened_us <= told.ts_us)
    return (told,) if known and now.quote.price_ppm is not None else ()


def _usd(contracts: float | None, price_ppm: int | None) -> float | None:
    if contracts == 0:
        return 0.0
    return None if contracts is None or price_ppm is None else contracts * price_ppm / PPM


def _identity(row: Row) -> tuple[str, MarketStatus]:
    """Ticker and our status word."""
    ticker = required_text(row, "ticker")
    if row.get("market_type", "binary") != "binary":
        raise bad_row("not_binary", f"{ticker} is {row.get('market_type')}, result {row.get('result')!r}", row)
    status = STATUS.get(str(row.get("status")))
    if status is None:
        raise bad_row("bad_status", f"{ticker} has the unknown status {row.get('status')!r}", row)
    return ticker, status


def _title(row: Row, of_event: Event) -> str:
    """A title that tells by itself which market it is.

    All siblings may ask "Vancouver vs Houston Winner?", so the side is added where the title is not the market's own,
    or where the siblings are not known. A side that is called "Yes" adds nothing.
    """
    title = optional_text(row, "title") or of_event.title
    side = optional_text(row, "yes_sub_title")
    if not title and not side:
        raise bad_row("missing_field", "no title, no yes_sub_title, no event title", row)
    if title and side.casefold() == "yes":
        return title
    told = bool(of_event.ticker) and side.casefold() in title.casefold() and title not in of_event.shared_titles
    return title if told else f"{title} {side}".strip()


def _ends_us(row: Row) -> int | None:
    """When the market is expected to end.

    `close_time` can lie years behind the event (2029 for the champion of summer 2027), so the expected end counts, but
    trading never goes on after `close_time`: a bitcoin price at 6:00 is known, and expires, at 6:05.
    """
    expected_us = instant_us(row, "occurrence_datetime") or instant_us(row, "expected_expiration_time")
    close_us = instant_us(row, "close_time")
    if expected_us is None or close_us is None:
        return expected_us or close_us
    return min(expected_us, close_us)
