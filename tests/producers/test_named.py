"""Events and series are remembered while rows name them, and no longer: a collector runs for months."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from producers.base import Errand, Page, Reader
from producers.intake import Intake, Tally
from producers.kalshi.reader import KalshiReader
from producers.named import UNNAMED_US, Named
from producers.polymarket.reader import PolymarketReader
from producers.shards import Shard
from producers.tracked import Tracked
from producers.venue_clock import VenueClock
from schemas.units import US_PER_S
from tests.producers.fixture_lines import RECEIVED
from tests.producers.rows import gamma, kalshi, market_of
from tests.producers.test_earlier import Kept

HOUR_US = 3_600 * US_PER_S
READERS: dict[str, type[Reader]] = {"polymarket": PolymarketReader, "kalshi": KalshiReader}
EVENTS = {"polymarket": "/events/keyset", "kalshi": "/events"}


def event(venue: str, name: str) -> dict[str, Any]:
    """An event as the venue lists it, without markets inside."""
    if venue == "kalshi":
        return {"event_ticker": name, "series_ticker": "KX", "title": f"About {name}", "category": "Politics"}
    return {"id": name, "slug": name, "title": f"About {name}", "tags": [{"label": "Politics", "slug": "politics"}]}


def bare(venue: str, name: str) -> dict[str, Any]:
    """A market row outside its event."""
    return kalshi(event_ticker=name) if venue == "kalshi" else gamma(events=[{"id": name}])


class Collecting:
    """A venue's pages, an hour after the other."""

    def __init__(self, venue: str) -> None:
        self.venue, self.reader = venue, READERS[venue]()
        self._now_us = RECEIVED.ts_received_us
        clock = VenueClock(5.0, self._now_us)
        self._intake = Intake(Shard(venue), self.reader, Tracked(), clock, Kept())

    def crawled(self, *names: str) -> None:
        """The next hour's crawl lists these events."""
        self._now_us += HOUR_US
        self._take("crawl", EVENTS[self.venue], "events", [event(self.venue, name) for name in names])

    def looked_up(self, name: str) -> None:
        """A market is asked for whose event is not listed any more."""
        self._take("lookup", "/markets", "markets", [bare(self.venue, name)])

    def category_of(self, name: str) -> str:
        """What only the event of a market tells."""
        return market_of(self.reader, bare(self.venue, name)).category

    def _take(self, errand: Any, channel: str, kind: str, rows: list[Any]) -> None:
        received = replace(
            RECEIVED, errand=Errand(errand), channel=channel, ts_received_us=self._now_us, date_us=self._now_us
        )
        self._intake.take(Page(received=received, kind=kind, rows=rows), Tally())


@pytest.mark.parametrize("venue", READERS)
def test_an_event_that_nothing_names_for_two_days_is_forgotten(venue: str) -> None:
    collecting = Collecting(venue)
    collecting.crawled("1")
    assert collecting.category_of("1") == "politics"

    for _ in range(49):
        collecting.crawled("2")

    assert collecting.category_of("1") == "other"
    assert collecting.category_of("2") == "politics"


@pytest.mark.parametrize("venue", READERS)
def test_an_event_that_is_listed_no_more_is_kept_while_its_markets_are_asked_for(venue: str) -> None:
    collecting = Collecting(venue)
    collecting.crawled("1")

    for hour in range(200):
        collecting.crawled("2")
        if hour % 20 == 0:
            collecting.looked_up("1")

    assert collecting.category_of("1") == "politics"


@pytest.mark.parametrize("venue", READERS)
def test_crawls_that_fail_at_once_again_and_again_forget_nothing(venue: str) -> None:
    collecting = Collecting(venue)
    collecting.crawled("1")

    for _ in range(20):
        collecting.crawled()

    assert collecting.category_of("1") == "politics"


def test_months_of_events_take_the_room_of_two_days() -> None:
    named: Named[int] = Named()

    for hour in range(24 * 90):
        for number in range(10):
            named.tell(f"{hour}-{number}", number)
        named.let_go(hour * HOUR_US)

    assert len(named) <= 10 * 2 * UNNAMED_US // HOUR_US


def test_what_is_told_anew_is_what_it_was_told_last() -> None:
    named: Named[str] = Named()
    named.tell("a", "first")
    named.let_go(0)
    named.let_go(UNNAMED_US)
    named.tell("a", "second")

    assert named.of("a") == "second"
    assert len(named) == 1
