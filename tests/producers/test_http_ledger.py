"""Whole collectors that poll venues whose HTTP misbehaves: what was shown is published, what was not is told.

Each fault strikes both venues at once, in the middle of a run whose prices nobody moves but the test: so it knows each
change. The venues' time runs ten times as fast as ours, so that minutes of a feed are seconds here.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import Any, Final

import httpx
import orjson
import pytest

from kernel.metrics import RETRIES
from producers import limits
from producers.before import Before
from producers.client import ANSWER_WITHIN_S, VenueHttp
from producers.feed_state import GAP_PROMISES
from producers.intake import LEFT_OUT
from producers.jobs import Jobs
from producers.shards import Shard
from producers.statuses import STOPPED
from schemas.events import FeedStatus, RawMessage, Tick
from schemas.units import PPM, US_PER_S
from schemas.words import FeedWord
from simulator.clock import real_now_us
from simulator.tape import Line, Market, Quote, write_tape
from tests.producers.whole_collector import Published, Venue, collecting
from tests.simulator.conftest import Running, simulators
from tests.stack.waiting import until

SPEED: Final = 10
MARKETS: Final = 60
PAGE: Final = 20
BEHIND_S: Final = 6 * 3_600
BRIEFLY_S: Final = 1.0
"""So long is an answer waited for while a fault holds answers back; else as long as always, on a busy machine too."""
SLACK_US: Final = 3 * US_PER_S
"""Of the venue's time: the collector looks each 0.1 s of ours for gaps, and Dates are cut to seconds."""

POLLED: Final = {
    "POLYMARKET_STREAM_CONNECTIONS": "0",
    "POLYMARKET_REQUESTS_PER_S": "200",
    "KALSHI_STREAM_CONNECTIONS": "0",
    "KALSHI_REQUESTS_PER_S": "200",
    "COLLECTOR_PRICE_INTERVAL": "5",
    "COLLECTOR_HOT_INTERVAL": "4",
    "COLLECTOR_MARKET_INTERVAL": "30",
    "COLLECTOR_HISTORY_MARKETS": "0",
}
PREFIXES: Final = {"polymarket": ("/gamma", "/clob"), "kalshi": ("/kalshi",)}
LISTINGS: Final = {"polymarket": ("/gamma",), "kalshi": ("/kalshi",)}
VENUES: Final = tuple(PREFIXES)
REFUSALS: Final = (400, 403, 422)


@dataclass(frozen=True, slots=True)
class Ordered:
    """A fault, where it strikes, and what is said of it: one of these reasons where it blinds, so that there is a gap
    to tell; none where it does not."""

    mode: str
    values: Mapping[str, Any] = field(default_factory=dict)
    prefixes: Mapping[str, tuple[str, ...]] = field(default_factory=lambda: PREFIXES)
    reasons: tuple[str, ...] = ()
    until: FeedWord = "disconnected"
    """It lasts until this is said. Where each answer is waited for, five failed sweeps take too long for a test."""

    @property
    def blinds(self) -> bool:
        """Whether nothing useful is answered."""
        return bool(self.reasons)

    @property
    def holds_back(self) -> bool:
        """Whether answers do not come, or not to their end."""
        return "TimeoutError" in self.reasons


FAULTS: Final = {
    "429 that says when": Ordered("429", {"retry_after": "1"}, reasons=("HTTP 429",), until="degraded"),
    "429 that does not": Ordered("429", {"retry_after": None}, reasons=("HTTP 429",)),
    "500": Ordered("500", reasons=("HTTP 500",)),
    "HTML 503": Ordered("html", {"status": 503}, reasons=("HTTP 503",)),
    "HTML 403": Ordered("html", {"status": 403}, reasons=("HTTP 403",)),
    "HTML 200": Ordered("html", {"status": 200}, reasons=("answer is not JSON",)),
    "hang": Ordered("hang", reasons=("TimeoutError",), until="degraded"),
    "drip": Ordered("drip", {"delay_s": 0.2}, reasons=("TimeoutError",), until="degraded"),
    "truncated": Ordered("truncated", reasons=("answer is not JSON",)),
    "body of another kind": Ordered(
        "body", {"body": '{"error": "maintenance"}', "status": 200}, reasons=("in the answer",)
    ),
    "slow": Ordered("slow", {"delay_s": 0.1}),
    "header absurd": Ordered("header", {"name": "Age", "value": "99999999999999999999"}),
    "header without a date": Ordered("header", {"name": "Date", "value": "yesterday"}),
    "cursor repeated": Ordered("cursor", {"cursor": "repeat"}, LISTINGS, reasons=("was there before",)),
    "cursor wrong": Ordered(
        "cursor", {"cursor": "no such page"}, LISTINGS, reasons=("invalid cursor", "was there before")
    ),
    "cursor null": Ordered("cursor", {"cursor": "null"}, LISTINGS, reasons=("does not say whether it is the last",)),
    "cursor absent": Ordered(
        "cursor",
        {"cursor": "absent"},
        LISTINGS,
        reasons=("markets, 60 before", "does not say whether it is the last"),
    ),
    "empty": Ordered("empty", {}, LISTINGS, reasons=("markets, 60 before",)),
    "rows come again": Ordered("shift", {"rows": 3}, LISTINGS),
    "rows are missed": Ordered("shift", {"rows": -3}, LISTINGS),
    "clock ahead": Ordered("skew", {"offset_s": 3_600}),
    "clock behind": Ordered("skew", {"offset_s": -3_600}),
}


# ── what the venue did ───────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(slots=True)
class Moved:
    """A price that the test gave a market, between two of our moments, and when it began to give it the next one."""

    market: str
    bid_ppm: int
    ask_ppm: int
    ordered_us: int
    done_us: int = 0
    over_us: int = 2**62


@dataclass
class Life:
    """One run of a collector through one fault."""

    fault: str
    venue: Venue
    out: Published
    moving: bool = True
    moved: list[Moved] = field(default_factory=list)
    now: dict[str, Moved] = field(default_factory=dict)
    clock: tuple[int, int] = (0, 0)
    """Our time and the venue's at one moment."""
    struck_us: int = 0
    cured_us: int = 0
    """When the fault began to be taken away: one of several hosts may answer well before the last does."""
    clients: list[VenueHttp] = field(default_factory=list)
    left_out: Counter[str] = field(default_factory=Counter)

    def client(self, *asks: Any, **how: Any) -> VenueHttp:
        """One of the collector's clients, which are known here so that their patience can change in a run."""
        self.clients.append(VenueHttp(*asks, **how))
        return self.clients[-1]

    def wait_for_answers(self, within_s: float) -> None:
        for client in self.clients:
            client._answer_within_s = within_s

    def venue_us(self, ours_us: int) -> int:
        return self.clock[1] + (ours_us - self.clock[0]) * SPEED

    def answers(self) -> list[RawMessage]:
        return [raw for raw in self.out.raw if raw.kind == "rest"]

    def words(self) -> list[FeedStatus]:
        return [status for status in self.out.statuses if status.state in ("connected", "degraded", "disconnected")]

    def told(self, state: str, since_us: int) -> list[FeedStatus]:
        return [s for s in self.out.statuses if s.state == state and s.ts_received_us >= since_us]

    def gaps(self) -> list[tuple[int, int]]:
        """Begin and end of the gaps that were told, by the venue's time."""
        found = []
        for opened in self.told("gap_opened", 0):
            ends = (s.ts_event_us for s in self.told("gap_closed", opened.ts_received_us))
            found.append((opened.gap_started_us or 0, next(ends, 2**62)))
        return found

    def blind(self) -> FeedStatus:
        """The gap in which the fault was cured. One before it may have begun as the fault struck, with a sweep that a
        busy machine held up, and ended with the answer that was on its way."""
        return [s for s in self.told("gap_opened", self.struck_us) if s.ts_received_us <= self.cured_us][-1]

    def in_gap(self) -> bool:
        states = [status.state for status in self.out.statuses if status.state in ("gap_opened", "gap_closed")]
        return states[-1:] == ["gap_opened"]

    def live(self) -> list[Tick]:
        return [tick for tick in self.out.ticks if tick.source != "backfill"]

    async def move(self) -> None:
        """Each market gets one price after another that it never had before, until it is enough."""
        rng = random.Random(f"{self.venue.name} {self.fault}")
        names = [market.market for market in MARKETS_OF[self.venue.name]]
        grid = [(bid * 10_000, ask * 10_000) for bid in range(10, 90) for ask in range(bid + 1, 91)]
        prices = {name: iter(rng.sample(grid, len(grid))) for name in names}
        async with httpx.AsyncClient(trust_env=False, timeout=60) as client:
            while True:
                if self.moving:
                    await self._move(client, {name: next(prices[name]) for name in rng.sample(names, 5)})
                await asyncio.sleep(0.05)

    async def _move(self, client: httpx.AsyncClient, prices: Mapping[str, tuple[int, int]]) -> None:
        now_us, moves = real_now_us(), []
        for name, (bid_ppm, ask_ppm) in prices.items():
            if before := self.now.get(name):
                before.over_us = now_us
            moves.append(Moved(name, bid_ppm, ask_ppm, now_us))
            self.now[name] = moves[-1]
        lines = (
            {"kind": "quote", "ts_us": 0, "market": m.market, "bid": m.bid_ppm / PPM, "ask": m.ask_ppm / PPM}
            for m in moves
        )
        body = b"\n".join(orjson.dumps(line) for line in lines)
        (await client.post(f"{self.venue.running.address}/simulator/lines", content=body)).raise_for_status()
        for move in moves:
            move.done_us = real_now_us()
        self.moved += moves


def markets_of(venue: str) -> list[Market]:
    """Three markets to an event."""
    found = []
    for number in range(MARKETS):
        name = f"0x{number:064x}" if venue == "polymarket" else f"KXRAIN{number // 3}-T{number}"
        event = f"rain-{number // 3}" if venue == "polymarket" else f"KXRAIN{number // 3}"
        kind = {"tags": ("Weather",)} if venue == "polymarket" else {"category": "Climate and Weather"}
        found.append(Market(venue=venue, market=name, title=f"Will it rain {number} mm?", event=event, **kind))
    return found


MARKETS_OF: Final = {venue: markets_of(venue) for venue in VENUES}


def tape_of(folder: Path) -> Path:
    """All markets at one price, and a last line so late that the tape does not end in a test."""
    path = folder / "quiet.tape"
    start_us = real_now_us() // US_PER_S * US_PER_S - BEHIND_S * US_PER_S
    lines: list[Line] = []
    for number, market in enumerate(market for venue in VENUES for market in MARKETS_OF[venue]):
        lines += [market, Quote(start_us, market.market, 50_000, 950_000, volume_24h=1_000.0 + number)]
    last = lines[-2]
    assert isinstance(last, Market)
    lines.append(Quote(start_us + BEHIND_S * US_PER_S, last.market, 50_000, 950_000))
    write_tape(path, lines)
    return path


# ── one run ──────────────────────────────────────────────────────────────────────────────────────────────────────────


async def strike(life: Life) -> None:
    """Whole sweeps, the fault for so long that it has to be told, and whole sweeps again until all is as it is."""
    venue, out, fault = life.venue, life.out, FAULTS[life.fault]
    life.clock = await _clock(venue)
    left_out = _left_out(venue.name)

    def moved(more: int) -> Callable[[], bool]:
        goal = len(life.moved) + more
        return lambda: len(life.moved) >= goal

    async with collecting(venue, out, Shard(venue.name), Before(), beside=life.move()) as jobs:
        enough = moved(60)
        await until(lambda: enough() and _promises(jobs) and not life.in_gap(), f"{venue.name} is swept")
        if fault.holds_back:
            life.wait_for_answers(BRIEFLY_S)
        life.struck_us = real_now_us()
        for prefix in fault.prefixes[venue.name]:
            await venue.fault(fault.mode, path_prefix=prefix, **fault.values)
        if fault.blinds:
            await until(life.in_gap, f"a gap of {venue.name} is told")
            enough = moved(40)
            await until(lambda: enough() and life.in_gap(), "and lasts")
            life.moving = False  # what moves in a long gap proves no more
            said = f"{venue.name} is {fault.until}"
            await until(lambda: bool(life.told(fault.until, life.struck_us)) and life.in_gap(), said)
            life.moving = True
        else:
            pages, enough = _pages(out), moved(100)
            await until(lambda: enough() and _pages(out) >= pages + 5 * MARKETS // PAGE, f"{venue.name} is swept on")
        life.wait_for_answers(ANSWER_WITHIN_S)
        life.cured_us = real_now_us()
        for prefix in fault.prefixes[venue.name]:
            await venue.fault("off", path_prefix=prefix)
        await until(lambda: not life.in_gap(), f"the gap of {venue.name} is closed")
        await until(moved(60), "it goes on")
        life.moving = False
        await until(lambda: _up_to_date(life), f"each market of {venue.name} shows its last price")
        await until(lambda: life.words()[-1].state == "connected" and not life.in_gap(), "all is well")
    life.left_out = _left_out(venue.name) - left_out


async def _clock(venue: Venue) -> tuple[int, int]:
    """Our time and the venue's at one moment: by the quickest of some answers, as time there runs ten times as fast."""
    found: list[tuple[int, int, int]] = []
    async with httpx.AsyncClient(trust_env=False, timeout=60) as client:
        for _ in range(8):
            asked_us = real_now_us()
            status = (await client.get(f"{venue.running.address}/simulator/status")).json()
            took_us = real_now_us() - asked_us
            found.append((took_us, asked_us + took_us // 2, status["venue_now_us"][venue.name]))
    return min(found)[1:]


def _promises(jobs: Jobs) -> bool:
    return bool(jobs.health()["sweep_promise_s"])


def _pages(out: Published) -> int:
    return sum(raw.errand == "sweep" for raw in out.raw)


def _up_to_date(life: Life) -> bool:
    last = {tick.market_id: (tick.bid_ppm, tick.ask_ppm) for tick in life.out.ticks if tick.source != "backfill"}
    return all(last.get(_id(life.venue.name, m.market)) == (m.bid_ppm, m.ask_ppm) for m in life.now.values())


def _left_out(venue: str) -> Counter[str]:
    samples = (sample for metric in LEFT_OUT.collect() for sample in metric.samples)
    return Counter(
        {s.labels["reason"]: int(s.value) for s in samples if s.name.endswith("_total") and s.labels["venue"] == venue}
    )


@dataclass(frozen=True, slots=True)
class Lives:
    """Both venues through one fault."""

    of: Mapping[str, Life]
    retries: int


def live(fault: str, running: Running, folder: Path) -> Lives:
    """Both venues at once."""
    lives = {venue: Life(fault, Venue(venue, running, folder, POLLED), Published(venue)) for venue in VENUES}

    async def both() -> None:
        await asyncio.gather(*(strike(life) for life in lives.values()))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(limits, "_FIRST_BACKOFF_S", 0.05)  # pauses as short as all else here
        for venue in VENUES:
            patch.setattr(f"producers.{venue}.feed.MARKETS_PAGE", PAGE)  # so that few markets fill some pages
            patch.setattr(f"producers.{venue}.venue.VenueHttp", lives[venue].client)
        before = _retries()
        asyncio.run(both())
    return Lives(lives, _retries() - before)


def _retries() -> int:
    return int(RETRIES.labels("127.0.0.1")._value.get())


# ── what the answers showed ──────────────────────────────────────────────────────────────────────────────────────────

State = tuple[str, int, int]


def _id(venue: str, market: str) -> str:
    return f"{'POLY' if venue == 'polymarket' else 'KALSHI'}:{market}"


def body_of(raw: RawMessage) -> Any:
    """The JSON of an answer that came whole; None of any other."""
    try:
        return orjson.loads(raw.body) if raw.http_status == 200 else None
    except orjson.JSONDecodeError:
        return None


def states_of(raw: RawMessage) -> Iterator[State]:
    """What each market row in a whole answer says, read without any code of the collector's."""
    body = body_of(raw)
    for row in _rows_of(body) if body is not None else ():
        if "asset_id" in row:  # the best level is the last
            yield _id(raw.venue, row["market"]), _ppm(row["bids"][-1]["price"]), _ppm(row["asks"][-1]["price"])
        elif "conditionId" in row:
            yield _id(raw.venue, row["conditionId"]), _ppm(row["bestBid"]), _ppm(row["bestAsk"])
        else:
            yield _id(raw.venue, row["ticker"]), _ppm(row["yes_bid_dollars"]), _ppm(row["yes_ask_dollars"])


def _rows_of(body: Any) -> Iterator[Any]:
    if isinstance(body, list):
        yield from body
        return
    yield from body.get("markets", ())
    for event in body.get("events", ()):
        yield from event["markets"]


def _ppm(price: str | float) -> int:
    return round(float(price) * PPM)


# ── the facts ────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture(scope="module")
def simulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """Both venues, still until the test moves a price."""
    folder = tmp_path_factory.mktemp("venue")
    with simulators(folder) as begin:
        yield begin("--tape", str(tape_of(folder)), "--speed", str(SPEED))


@pytest.fixture(scope="module", params=FAULTS)
def lives(request: pytest.FixtureRequest, simulator: Running, tmp_path_factory: pytest.TempPathFactory) -> Lives:
    """One run through each fault, for all tests that look at it."""
    return live(request.param, simulator, tmp_path_factory.mktemp("run"))


def test_each_row_of_each_whole_answer_is_published_or_counted_by_reason(lives: Lives) -> None:
    for venue, life in lives.of.items():
        published = {(tick.market_id, tick.bid_ppm, tick.ask_ppm) for tick in life.live()}
        shown = [state for raw in life.answers() for state in states_of(raw)]
        never = [state for state in shown if state not in published]

        print(f"{venue}: {len(shown)} rows, {len(life.live())} ticks, left out {dict(life.left_out)}")
        assert len(shown) == len(life.live()) + life.left_out.total(), venue
        assert set(life.left_out) <= {"repeated", "older_than_shown"}, venue
        assert len(never) <= life.left_out["older_than_shown"], venue
        assert len(shown) > 6 * MARKETS, venue


def test_each_answer_that_is_no_use_is_refused_or_is_asked_for_again(lives: Lives) -> None:
    unusable = 0
    for venue, life in lives.of.items():
        refused = {error.body for error in life.out.refusals}
        bad = [raw for raw in life.answers() if body_of(raw) is None]
        unusable += sum(raw.http_status not in REFUSALS for raw in bad)  # those are asked again by the next round
        for raw in bad:
            assert raw.body in refused or (raw.body.startswith(b'{"') and raw.http_status != 200), venue
    assert lives.retries >= unusable * 3 // 4 - 2 * len(VENUES), "the last of four ends the round"


def test_each_change_is_published_or_lay_in_a_gap_that_was_told_or_between_two_looks_as_promised(lives: Lives) -> None:
    for venue, life in lives.of.items():
        published = {(tick.market_id, tick.bid_ppm, tick.ask_ppm) for tick in life.live()}
        looks: dict[str, list[tuple[int, int]]] = defaultdict(list)
        shown: set[State] = set()
        for raw in life.answers():
            for state in states_of(raw):
                shown.add(state)
                looks[state[0]].append((raw.ts_asked_us or 0, raw.ts_received_us))
        ticks: dict[str, list[Tick]] = defaultdict(list)
        for tick in life.live():
            ticks[tick.market_id].append(tick)
        missed = [m for m in life.moved if (_id(venue, m.market), m.bid_ppm, m.ask_ppm) not in published]
        unaccounted = []
        for move in missed:
            market_id = _id(venue, move.market)
            # What an answer did show is the other test's: it was published, or overtaken and counted so.
            if (market_id, move.bid_ppm, move.ask_ppm) in shown:
                continue
            if not _excused(move, looks[market_id], ticks[market_id], life):
                unaccounted.append((move, looks[market_id], life.venue_us(move.ordered_us)))

        print(f"{venue}: {len(life.moved)} changes, {len(missed)} never shown, gaps {life.gaps()}")
        assert unaccounted == [], venue
        assert len(missed) < len(life.moved) * 2 / 3, "the gaps are no excuse for most of it"


def _excused(move: Moved, looks: list[tuple[int, int]], ticks: list[Tick], life: Life) -> bool:
    """Whether a change lay in a gap that was told, or the looks before and after it were as close as was promised.

    A look is somewhere between a question and its answer: for sure are they apart from an answer to the next question.
    Between two a sweep may have turned out to take longer, and the promise has grown. Where nothing is promised only a
    gap excuses.
    """
    before_us = max((at for _, at in looks if at <= move.done_us), default=0)
    asked_us, after_us = min((look for look in looks if look[1] > move.done_us), default=(2**62, 2**62))
    before = next((tick.heartbeat_s for tick in reversed(ticks) if tick.ts_received_us <= before_us), 0)
    after = next((tick.heartbeat_s for tick in ticks if tick.ts_received_us >= after_us), 0)
    apart_us = (asked_us - before_us) * SPEED
    if not before_us or apart_us <= max(before, after) * GAP_PROMISES * US_PER_S + SLACK_US:
        return True
    at_us = life.venue_us(move.ordered_us)
    return any(begin - SLACK_US <= at_us <= end + SLACK_US for begin, end in life.gaps())


def test_what_blinds_is_told_as_a_gap_that_is_closed_and_each_markets_first_tick_after_it_says_so(lives: Lives) -> None:
    for venue, life in lives.of.items():
        if not FAULTS[life.fault].blinds:
            continue
        gap = life.blind()
        ends = life.told("gap_closed", gap.ts_received_us)
        after: dict[str, Tick] = {}
        for tick in life.live():
            if tick.ts_received_us > gap.ts_received_us:
                after.setdefault(tick.market_id, tick)

        assert gap.gap_started_us, venue
        assert gap.gap_started_us <= life.venue_us(life.struck_us) + SLACK_US, venue
        assert ends[0].gap_started_us == gap.gap_started_us, venue
        assert ends[0].ts_received_us >= life.cured_us, venue
        assert len(after) == MARKETS, venue
        assert [tick for tick in after.values() if "after_gap" not in tick.flags] == [], venue


def test_the_first_look_is_a_gap_until_the_first_whole_sweep_and_each_markets_first_tick_says_so(lives: Lives) -> None:
    for venue, life in lives.of.items():
        opened, closed = (life.told(state, 0)[0] for state in ("gap_opened", "gap_closed"))
        first: dict[str, Tick] = {}
        for tick in life.live():
            first.setdefault(tick.market_id, tick)

        assert opened.gap_started_us == closed.gap_started_us, venue
        assert (opened, opened.ticks_published) == (life.out.statuses[0], 0), f"{venue}: told before anything is shown"
        assert opened.ts_event_us < closed.ts_event_us, f"{venue}: both by the venue's clock"
        assert len(first) == MARKETS, venue
        assert [tick for tick in first.values() if "after_gap" not in tick.flags] == [], venue


def test_what_blinds_is_said_as_long_as_it_lasts_with_its_reason_and_of_all_markets(lives: Lives) -> None:
    for venue, life in lives.of.items():
        reasons, until_away = FAULTS[life.fault].reasons, FAULTS[life.fault].until == "disconnected"
        *said, stopped = life.words()
        # What came before the fault counts as it stood when the fault struck.
        since = max(n for n, status in enumerate(said) if n == 0 or status.ts_received_us < life.struck_us)
        worse = [state for state, _ in groupby(status.state for status in said[since:])]

        assert (stopped.state, stopped.detail.partition(";")[0]) == ("disconnected", STOPPED), venue
        assert {(s.shard, s.markets_tracked, s.market_ids) for s in life.out.statuses[1:]} == {("all", MARKETS, ())}, (
            venue
        )
        if not reasons:
            assert worse == ["connected"], venue
            continue
        # A question that hung until after the cure may still fail: degraded once more.
        assert worse[: 2 + until_away] == ["connected", "degraded", *["disconnected"] * until_away], venue
        assert worse[2 + until_away :] in (["connected"], ["connected", "degraded", "connected"]), venue
        degraded = next(s for s in said[since:] if s.state == "degraded")
        worst = next(s for s in said[since:] if s.state == FAULTS[life.fault].until)
        well = next(s for s in said if s.state == "connected" and s.ts_received_us > worst.ts_received_us)
        gap = life.blind()
        assert life.struck_us <= degraded.ts_received_us <= worst.ts_received_us < life.cured_us, venue
        assert well.ts_received_us >= life.cured_us, venue
        assert "failed 1 times in a row" in degraded.detail, venue
        assert until_away == worst.detail.startswith("sync_prices failed 5 times in a row"), venue
        assert [s.detail for s in (degraded, worst) if not any(reason in s.detail for reason in reasons)] == [], venue
        assert life.struck_us <= gap.ts_received_us < life.cured_us, venue
        assert life.told("gap_closed", gap.ts_received_us)[0].ts_event_us >= life.venue_us(life.cured_us) - SLACK_US


def test_each_market_goes_forward_in_time(lives: Lives) -> None:
    for venue, life in lives.of.items():
        newest: dict[str, int] = {}
        for tick in life.live():
            assert tick.ts_event_us > newest.get(tick.market_id, 0), venue
            newest[tick.market_id] = tick.ts_event_us


def test_books_that_are_emptied_and_settled_while_the_venue_answers_500_are_told_and_no_price_is_made_up(
    tmp_path: Path,
) -> None:
    async def end(life: Life) -> None:
        venue, out = life.venue, life.out
        names = [market.market for market in MARKETS_OF[venue.name]][-6:]
        ids = {_id(venue.name, name) for name in names}
        life.moving = False

        async def play(**line: Any) -> None:
            body = b"\n".join(orjson.dumps({"ts_us": 0, "market": name, **line}) for name in names)
            async with httpx.AsyncClient(trust_env=False, timeout=60) as client:
                (await client.post(f"{venue.running.address}/simulator/lines", content=body)).raise_for_status()

        def last() -> list[Tick]:
            newest = {tick.market_id: tick for tick in life.live() if tick.market_id in ids}
            return list(newest.values())

        async with collecting(venue, out, Shard(venue.name), beside=life.move()) as jobs:
            await until(lambda: _promises(jobs) and len(last()) == len(ids), f"{venue.name} is swept")
            for prefix in PREFIXES[venue.name]:
                await venue.fault("500", path_prefix=prefix)
            await until(life.in_gap, "a gap is told")
            await play(kind="quote")
            for prefix in PREFIXES[venue.name]:
                await venue.fault("off", path_prefix=prefix)
            await until(lambda: all((t.bid_ppm, t.ask_ppm) == (None, None) for t in last()), "the books are empty")
            emptied = last()
            await play(kind="settle", winner=0)
            await until(lambda: all(t.market_status == "settled" for t in last()), "all six are settled")
            results = {m.market_id: m.result for m in out.markets if m.status == "settled"}
            await until(lambda: not life.in_gap(), "the gap is closed")

        assert {tick.price_ppm for tick in emptied} == {None}, venue.name
        assert results == dict.fromkeys(ids, "Yes"), venue.name

    async def both(running: Running) -> None:
        lives = (Life("settled", Venue(name, running, tmp_path, POLLED), Published(name)) for name in VENUES)
        await asyncio.gather(*(end(life) for life in lives))

    with simulators(tmp_path) as begin:
        asyncio.run(both(begin("--tape", str(tape_of(tmp_path)), "--speed", str(SPEED))))
