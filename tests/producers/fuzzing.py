"""Plays mutated answers of a venue through a collector's intake, and holds each event against its schema."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import orjson

from kernel.errors import BadMessageError
from producers.registry import VENUES
from producers.replaying import Replay
from schemas import topics, words
from schemas.codec import Codec
from schemas.events import Market, RawMessage, Tick
from schemas.times import is_ahead
from schemas.units import PPM, US_PER_S, micros_from_iso
from tests.payloads import present
from tests.producers import rows
from tests.producers.kalshi import fixtures as of_kalshi
from tests.producers.mutations import mutated
from tests.producers.polymarket import fixtures as of_polymarket

START_US = micros_from_iso("2026-06-21T18:30:00Z")
Answer = tuple[str, words.Errand, bytes]


@dataclass
class Result:
    """What became of the answers."""

    played: int = 0
    ticks: int = 0
    markets: int = 0
    refused: int = 0
    unread: int = 0


class _AnyId:
    """Ids for schemas, so that events can be encoded without a registry."""

    def id_of(self, subject: str, schema: str) -> int:
        """One for all."""
        return 1

    def by_id(self, schema_id: int) -> str:
        """Never asked."""
        raise LookupError(schema_id)


class _Judge:
    """Takes events as an outbox does, and looks at each."""

    def __init__(self, result: Result) -> None:
        self._result = result
        self._ticks = Codec(topics.TICKS, _AnyId(), Tick)
        self._markets = Codec(topics.MARKETS, _AnyId(), Market)
        self._newest: dict[str, int] = {}

    def market(self, market: Market) -> None:
        """A market: it fits its schema."""
        self._markets.encode(market)
        assert len(market.token_ids) == len(market.outcomes) == 2
        self._result.markets += 1

    def tick(self, tick: Tick, category: str) -> None:
        """A tick: it fits its schema, is finite, within 0..1, not ahead of its receipt, and later than the last."""
        self._ticks.encode(tick)
        for field in fields(tick):
            value = getattr(tick, field.name)
            assert not isinstance(value, float) or math.isfinite(value), (field.name, value)
        for ppm in (tick.bid_ppm, tick.ask_ppm, tick.last_ppm, tick.price_ppm):
            assert ppm is None or 0 <= ppm <= PPM
        assert not is_ahead(tick.ts_event_us, tick.ts_received_us)
        assert tick.ts_event_us > self._newest.get(tick.market_id, 0)
        self._newest[tick.market_id] = tick.ts_event_us
        self._result.ticks += 1

    def refused(self, error: BadMessageError, channel: str) -> None:
        """A refusal, with its reason."""
        assert error.reason.isidentifier()
        self._result.refused += 1


def answers(venue: str) -> list[Answer]:
    """Good answers of a venue: what it was asked, and the body."""
    if venue == "kalshi":
        nested = [rows.kalshi(ticker=f"KX-{n}", yes_sub_title=str(n)) for n in range(3)]
        event = {"event_ticker": "KX", "series_ticker": "KXS", "title": "E", "markets": nested}
        series = {"series": [{"ticker": "KXS", "category": "Sports", "tags": ["Football"]}]}
        made: list[tuple[str, words.Errand, object]] = [
            ("/series", "crawl", series),
            ("/events?status=open", "crawl", {"cursor": "", "events": [event]}),
            ("/markets?status=open", "sweep", {"cursor": "", "markets": nested}),
            ("/markets?tickers=KX-1", "hot", {"cursor": "", "markets": nested[1:2]}),
        ]
    else:
        nested = [
            rows.gamma(conditionId=f"0x{n}", clobTokenIds=f'["1{n}", "2{n}"]', events=[{"id": "7", "slug": "e"}])
            for n in range(3)
        ]
        event = {"id": "7", "slug": "e", "title": "E", "tags": [{"label": "Crypto", "slug": "crypto"}]}
        made = [
            ("/events/keyset?closed=false", "crawl", {"events": [event | {"markets": nested}]}),
            ("/markets/keyset?closed=false", "sweep", {"markets": nested, "next_cursor": "x"}),
            ("/books", "hot", [rows.book(asset_id=f"1{n}") for n in range(3)]),
        ]
    return [(channel, errand, orjson.dumps(body)) for channel, errand, body in made]


def recorded(venue: str) -> list[Answer]:
    """Real rows of a venue where they are at hand, each an answer of its own; of an event the first few markets."""
    found: list[tuple[str, words.Errand, object]] = []
    if venue == "kalshi":
        for path in present(venue, of_kalshi.NAMES):
            for kind, items in of_kalshi.pages_of(path):
                found += [(f"/{kind}", _errand(kind), {"cursor": "", kind: [_few(item)]}) for item in items]
    else:
        for path in present(venue, of_polymarket.NAMES):
            kind = "events" if path.name in of_polymarket.EVENTS else "markets"
            found += [(f"/{kind}/keyset", _errand(kind), {kind: [_few(i)]}) for i in of_polymarket.load(path)]
        for path in present(venue, of_polymarket.BOOKS):
            found += [("/books", "hot", [book]) for book in of_polymarket.load(path)]
    return [(channel, errand, orjson.dumps(body)) for channel, errand, body in found]


def _errand(kind: str) -> words.Errand:
    return "crawl" if kind == "events" else "sweep"


def _few(row: Any) -> Any:
    return {**row, "markets": row["markets"][:3]} if isinstance(row, dict) and row.get("markets") else row


def fuzz(venue: str, mutants: int, seed: int, more: Sequence[Answer] = ()) -> Result:
    """Plays so many mutated answers.

    Raises:
        AssertionError: an event that must not be. Any other error: it escaped.
    """
    rng, result, good = random.Random(seed), Result(), [*answers(venue), *more]
    replay = Replay(VENUES[venue], venue, _Judge(result), max_skew_s=5, start_us=START_US, noted=False)
    template = RawMessage(
        event_id="0" * 24, venue=venue, kind="rest", channel="", connection_id="c", sequence=0, promise_s=60,
        ts_received_us=START_US, http_status=200, content_type="application/json", body=b"",
    )  # fmt: skip
    for number in range(mutants):
        channel, errand, body = rng.choice(good)
        received_us = START_US + number * 250_000
        date_us = received_us // US_PER_S * US_PER_S + rng.choice((0, 0, 0, 0, -3_600, 3_600, 10**9)) * US_PER_S
        raw = replace(
            template,
            channel=channel,
            errand=errand,
            sequence=number,
            ts_received_us=received_us,
            ts_event_us=rng.choice((date_us, date_us, None)),
            body=mutated(body, rng) if rng.random() < 0.8 else body,
        )
        replay.play(raw)
        result.played += 1
    result.unread = replay.unread
    return result
