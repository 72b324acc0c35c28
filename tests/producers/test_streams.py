"""Real connections to a simulated venue that misbehaves: what falls silent is found, told and redriven."""

from __future__ import annotations

import asyncio
import json
import math
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from kernel.clock import Clock, ManualClock, SystemClock
from producers.continuity import FIRST_BOOK_S
from producers.facts import Facts, Top, Traded
from producers.kalshi.sockets import KalshiSockets, Signer
from producers.limits import RateLimit
from producers.line import Line
from producers.merge import Merge
from producers.polymarket.sockets import PolymarketSockets
from producers.streams import Connection, Gap, Source, Streams
from producers.witnesses import Witnesses
from schemas.units import US_PER_S
from simulator.tape import Market, Quote, write_tape
from tests.simulator.conftest import START_US, Running
from tests.simulator.conftest import start as start
from tests.stack.waiting import until

MARKETS = 30
CONDITIONS = [f"0x{number:064x}" for number in range(1, MARKETS + 1)]
TICKERS = [f"KXTEST-{number}" for number in range(1, MARKETS + 1)]
Start = Callable[..., Running]


@dataclass
class Heard:
    """A listener that remembers."""

    tops: list[Top] = field(default_factory=list)
    trades: list[Traded] = field(default_factory=list)
    opened: list[tuple[int, int, str]] = field(default_factory=list)
    closed: list[int] = field(default_factory=list)
    changes: list[str] = field(default_factory=list)
    lacking: list[tuple[int, frozenset[str], str]] = field(default_factory=list)
    """What was said of tokens that nothing serves: since when, which, and why; none when all are served."""
    merge: Merge | None = None

    def told(self, source: Source, body: bytes, facts: Facts) -> None:
        assert facts.bad == []
        for fact in facts.facts:
            if isinstance(fact, Top):
                state = fact[1:5]
                if self.merge is None or self.merge.is_new(
                    source.number, source.connection_id, fact.token, fact.order, state
                ):
                    self.tops.append(fact)
            elif isinstance(fact, Traded):
                self.trades.append(fact)

    def gap_opened(self, connection: Connection, gap: Gap, reason: str) -> None:
        self.opened.append((connection.number, len(gap.tokens), reason))

    def gap_closed(self, connection: Connection, gap: Gap) -> None:
        self.closed.append(connection.number)

    def changed(self, connection: Connection, reason: str) -> None:
        self.changes.append(reason)

    def unserved(self, gap: Gap, reason: str) -> None:
        self.lacking.append((gap.since_us, frozenset(gap.tokens), reason))

    def served(self, gap: Gap) -> None:
        self.lacking.append((gap.since_us, frozenset(), ""))

    def newest(self, token: str) -> tuple[int | None, int | None]:
        """The top last told of a token."""
        return next(((top.bid_ppm, top.ask_ppm) for top in reversed(self.tops) if top.token == token), (None, None))


@dataclass
class Venue:
    """A simulated venue on which nothing happens but what a test does."""

    running: Running
    tokens: list[str]

    def fault(self, mode: str, prefix: str = "/poly-ws", **more: Any) -> None:
        self._post("faults", json.dumps({"path_prefix": prefix, "mode": mode, **more}).encode())

    def quote(self, market: str, bid: float) -> None:
        line = {"kind": "quote", "ts_us": 0, "market": market, "bid": bid, "ask": round(bid + 0.01, 4)}
        self._post("lines", json.dumps(line).encode())

    def connections(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.running.get("/simulator/connections")
        return found

    def socket_url(self, path: str) -> str:
        return self.running.address.replace("http", "ws") + path

    def _post(self, what: str, body: bytes) -> None:
        httpx.post(
            f"{self.running.address}/simulator/{what}", content=body, trust_env=False, timeout=60
        ).raise_for_status()


@pytest.fixture
def venue(start: Start, tmp_path: Path) -> Venue:
    """Thirty markets of each venue, all quoted once."""
    lines: list[Any] = []
    for number, (condition, ticker) in enumerate(zip(CONDITIONS, TICKERS, strict=True), 1):
        lines.append(Market(venue="polymarket", market=condition, title=f"Will {number} happen?", ts_us=START_US))
        lines.append(Market(venue="kalshi", market=ticker, title=f"Will {number} happen?", ts_us=START_US))
        lines += [Quote(START_US, name, 400_000, 420_000, 410_000) for name in (condition, ticker)]
    write_tape(tmp_path / "thirty.tape", lines)
    running = start("--tape", str(tmp_path / "thirty.tape"), "--speed", "1")
    rows = running.get("/gamma/markets/keyset?limit=100&closed=false&order=id&ascending=true")["markets"]
    by_condition = {row["conditionId"]: json.loads(row["clobTokenIds"])[0] for row in rows}
    return Venue(running, [by_condition[condition] for condition in CONDITIONS])


class Growing:
    """A connection that another one joins, by the loop's thread, while whoever asks looks at it."""

    def __init__(self, all_of_them: dict[int, Any]) -> None:
        self.all_of_them = all_of_them

    @property
    def reader(self) -> object:
        self.all_of_them[len(self.all_of_them) + 1] = self
        return self


@pytest.mark.parametrize("of", [Streams, Witnesses])
def test_connections_can_be_counted_from_another_thread_while_others_are_made(of: type[Streams | Witnesses]) -> None:
    known: dict[int, Any] = {}
    known[1] = Growing(known)
    pool = of.__new__(of)
    pool.__dict__ |= {"connections": known, "_places": known}

    assert pool.opened == 1
    assert len(known) == 2


def drive(streams: Streams, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Runs the streams while `work` lasts."""

    async def run() -> None:
        running, working = asyncio.create_task(streams.run()), asyncio.create_task(work())
        try:
            done, _ = await asyncio.wait((running, working), return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            for task in (running, working):
                task.cancel()
            await asyncio.gather(running, working, return_exceptions=True)

    asyncio.run(run())


async def do(work: Callable[..., None], *arguments: Any, **named: Any) -> None:
    """A blocking call, beside the loop."""
    await asyncio.to_thread(lambda: work(*arguments, **named))


class SetForward(SystemClock):
    """The machine's clocks, which a test sets forward when all has come that is to come before something is late.

    So what is late is so for certain, however busy the machine is.
    """

    def __init__(self) -> None:
        self._ahead_s = 0

    def now_us(self) -> int:
        return super().now_us() + self._ahead_s * US_PER_S

    def monotonic_s(self) -> float:
        return super().monotonic_s() + self._ahead_s

    def later(self, seconds: float, streams: Streams) -> None:
        """So much later; the streams are looked at."""
        self._ahead_s += math.ceil(seconds)
        streams.watch()


def polymarket(
    venue: Venue, heard: Heard, *, connections: int = 3, capacity: int = 10, clock: Clock | None = None
) -> Streams:
    sockets = PolymarketSockets(venue.socket_url("/poly-ws/ws/market"))
    sockets.capacity = capacity
    if isinstance(clock, SetForward):
        sockets.ping_every_s = 3_600.0  # a line that was silent while the clock was set forward is not dead
    streams = Streams(sockets, heard, clock or SystemClock(), connections=connections, places=0)
    streams.follow(venue.tokens)
    return streams


def all_shown(streams: Streams, tokens: list[str]) -> bool:
    return all(streams.shows(token) for token in tokens)


def test_tokens_are_spread_over_the_connections_and_a_change_comes_through(venue: Venue) -> None:
    heard = Heard()
    streams = polymarket(venue, heard)

    async def work() -> None:
        await until(lambda: all_shown(streams, venue.tokens), "all tokens are shown")
        await do(venue.quote, CONDITIONS[17], 0.55)
        await until(lambda: heard.newest(venue.tokens[17]) == (550_000, 560_000), "the change is told")

    drive(streams, work)

    assert [len(connection.tokens) for connection in streams.connections.values()] == [10, 10, 10]
    assert heard.opened == []


def test_with_few_connections_the_busiest_are_shown_and_the_rest_is_not(venue: Venue) -> None:
    heard = Heard()
    streams = polymarket(venue, heard, connections=1)

    async def work() -> None:
        await until(lambda: all_shown(streams, venue.tokens[:10]), "the busiest are shown")

    drive(streams, work)

    assert not any(streams.shows(token) for token in venue.tokens[10:])


def test_what_is_followed_changes_without_a_new_connection_and_without_a_word_of_a_gap(venue: Venue) -> None:
    heard = Heard()
    streams = polymarket(venue, heard, connections=1)

    async def work() -> None:
        await until(lambda: all_shown(streams, venue.tokens[:10]), "the first ten")
        streams.follow(venue.tokens[20:])
        await until(lambda: all_shown(streams, venue.tokens[20:]), "the last ten")
        await do(venue.quote, CONDITIONS[0], 0.55)
        await do(venue.quote, CONDITIONS[20], 0.66)
        await until(lambda: heard.newest(venue.tokens[20])[0] == 660_000, "a change of the last ten")

    drive(streams, work)

    assert heard.newest(venue.tokens[0])[0] == 400_000
    assert heard.opened == []
    assert len(streams.connections) == 1


@pytest.mark.parametrize("mode", ["close", "drop"])
def test_a_connection_that_ends_is_a_gap_told_and_closed_and_what_was_missed_is_made_good(
    venue: Venue, mode: str
) -> None:
    heard = Heard()
    streams = polymarket(venue, heard)

    async def work() -> None:
        await until(lambda: all_shown(streams, venue.tokens), "all tokens are shown")
        await do(venue.fault, mode)
        await do(venue.quote, CONDITIONS[3], 0.77)
        await until(lambda: len(heard.closed) == 3, "the gaps are closed")
        await until(lambda: heard.newest(venue.tokens[3]) == (770_000, 780_000), "the missed change")

    drive(streams, work)

    assert sorted((number, tokens) for number, tokens, _ in heard.opened) == [(1, 10), (2, 10), (3, 10)]
    assert sorted(heard.closed) == [1, 2, 3]


def test_a_half_open_connection_on_which_not_even_the_ping_is_answered_is_made_anew(venue: Venue) -> None:
    heard = Heard()
    sockets = PolymarketSockets(venue.socket_url("/poly-ws/ws/market"))
    sockets.ping_every_s = 1.5
    streams = Streams(sockets, heard, SystemClock(), connections=1, places=0)
    streams.follow(venue.tokens)

    async def work() -> None:
        await until(lambda: all_shown(streams, venue.tokens), "all tokens are shown")
        await do(venue.fault, "half_open")
        await do(venue.quote, CONDITIONS[3], 0.77)
        await until(lambda: heard.newest(venue.tokens[3]) == (770_000, 780_000), "the missed change")

    drive(streams, work)

    assert [reason for _, _, reason in heard.opened] == ["nothing heard for 3 s"]


@pytest.mark.parametrize("cure", ["subscribe", "reconnect"])
def test_a_frozen_market_is_found_by_a_witness_and_brought_back(venue: Venue, cure: str) -> None:
    heard = Heard()
    streams = polymarket(venue, heard)
    token = venue.tokens[3]

    async def work() -> None:
        await until(lambda: all_shown(streams, venue.tokens), "all tokens are shown")
        await do(venue.fault, "frozen_market", markets=[CONDITIONS[3]], cure=cure)
        await do(venue.quote, CONDITIONS[3], 0.77)
        streams.continuity.witnessed(token, time.monotonic(), agrees=False)
        await until(lambda: heard.newest(token) == (770_000, 780_000), "the frozen token is fresh")
        await do(venue.quote, CONDITIONS[3], 0.78)
        await until(lambda: heard.newest(token) == (780_000, 790_000), "and stays so")
        await until(lambda: 1 in heard.closed, "the gap is closed")

    drive(streams, work)

    assert heard.opened[0][:2] == (1, 1)


def test_a_frozen_connection_is_found_by_a_witness_and_made_anew_while_the_others_run_on(venue: Venue) -> None:
    heard = Heard()
    streams = polymarket(venue, heard)

    async def work() -> None:
        await until(lambda: all_shown(streams, venue.tokens), "all tokens are shown")
        await do(venue.fault, "frozen", connection=2)
        frozen = next(row for row in venue.connections() if row["frozen"])
        mine = [i for i, t in enumerate(venue.tokens) if any(t in c.tokens for c in streams.connections.values())]
        for index in mine:
            await do(venue.quote, CONDITIONS[index], 0.9)
        await until(lambda: sum(heard.newest(t)[0] == 900_000 for t in venue.tokens) >= 20, "the healthy ones")
        now_s = time.monotonic()  # of one look, so that all ten are due at once
        for token in venue.tokens:
            if heard.newest(token)[0] != 900_000:
                streams.continuity.witnessed(token, now_s, agrees=False)
        await until(lambda: all(heard.newest(t)[0] == 900_000 for t in venue.tokens), "the frozen ones")
        await until(lambda: len(heard.closed) > 0, "the gap is closed, when they are shown again and not before")
        assert frozen["markets"] == 10

    drive(streams, work)

    assert [(tokens, reason) for _, tokens, reason in heard.opened] == [(10, "10 tokens frozen")] * 2
    assert len(heard.closed) == 1


def test_a_lost_frame_shows_in_the_venues_own_top_and_the_token_is_subscribed_anew(venue: Venue) -> None:
    heard = Heard()
    streams = polymarket(venue, heard)

    async def work() -> None:
        await until(lambda: all_shown(streams, venue.tokens), "all tokens are shown")
        await do(venue.fault, "lost", every=1)
        await do(venue.quote, CONDITIONS[3], 0.5)
        await do(venue.fault, "off")
        await do(venue.quote, CONDITIONS[3], 0.45)
        await until(lambda: len(heard.closed) == 1, "the gap is over")

    drive(streams, work)

    assert heard.opened == [(1, 1, "1 tokens contradict their books")]
    assert heard.newest(venue.tokens[3]) == (450_000, 460_000)


def test_a_silent_token_limit_is_learnt_and_the_rest_goes_to_other_connections(venue: Venue) -> None:
    heard, clock = Heard(), SetForward()
    venue.fault("token_limit", limit=10)
    streams = polymarket(venue, heard, connections=4, capacity=30, clock=clock)

    async def work() -> None:
        await until(lambda: all_shown(streams, venue.tokens[:10]), "the busiest ten are shown")
        clock.later(FIRST_BOOK_S, streams)
        clock.later(FIRST_BOOK_S, streams)
        await until(lambda: all_shown(streams, venue.tokens), "all tokens are shown")

    drive(streams, work)

    assert sorted(len(c.tokens) for c in streams.connections.values()) == [10, 10, 10]
    assert any("serves 10 tokens only" in change for change in heard.changes)


def test_giant_doubled_and_swapped_frames_harm_nothing(venue: Venue) -> None:
    heard = Heard()
    streams = polymarket(venue, heard)

    async def work() -> None:
        await until(lambda: all_shown(streams, venue.tokens), "all tokens are shown")
        await do(venue.fault, "giant", bytes=8_000_000)
        await do(venue.fault, "duplicated", every=2)
        for bid in (0.5, 0.51, 0.52, 0.53, 0.54):
            await do(venue.quote, CONDITIONS[3], bid)
        await until(lambda: heard.newest(venue.tokens[3])[0] == 540_000, "the last change")

    drive(streams, work)

    bids = [top.bid_ppm for top in heard.tops if top.token == venue.tokens[3]]
    assert bids == [400_000, 500_000, 510_000, 520_000, 530_000, 540_000]
    assert heard.opened == []


# ── a venue with a key, on two connections ───────────────────────────────────────────────────────────────────────────


def pem(key: rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey) -> tuple[bytes, str]:
    """The private key, and the public one."""
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return private, key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


@pytest.fixture(scope="module")
def keys() -> dict[str, tuple[bytes, str]]:
    return {"rsa": pem(rsa.generate_private_key(65_537, 2_048)), "ed25519": pem(ed25519.Ed25519PrivateKey.generate())}


def kalshi(venue: Venue, heard: Heard, private: bytes, key_id: str = "k", books: int = 5) -> Streams:
    sockets = KalshiSockets(venue.socket_url("/kalshi/trade-api/ws/v2"), Signer(key_id, private), SystemClock().now_us)
    streams = Streams(sockets, heard, SystemClock(), connections=2, places=books)
    streams.follow(TICKERS)
    return streams


@pytest.mark.parametrize("kind", ["rsa", "ed25519"])
def test_the_handshake_is_signed_as_a_real_verifier_wants_it_and_all_markets_are_shown(
    venue: Venue, keys: dict[str, tuple[bytes, str]], kind: str
) -> None:
    private, public = keys[kind]
    venue._post("keys", json.dumps({"key_id": "k", "public_pem": public}).encode())
    heard = Heard(merge=Merge())
    streams = kalshi(venue, heard, private)

    async def work() -> None:
        await until(lambda: all_shown(streams, TICKERS), "all markets are shown")
        await do(venue.quote, TICKERS[20], 0.55)
        await until(lambda: heard.newest(TICKERS[20]) == (550_000, 560_000), "a change of any market")

    drive(streams, work)

    assert len(streams.connections) == 2


def test_a_rejected_key_is_told_with_its_status_and_nothing_is_called_a_gap(
    venue: Venue, keys: dict[str, tuple[bytes, str]]
) -> None:
    venue._post("keys", json.dumps({"key_id": "k", "public_pem": keys["rsa"][1]}).encode())
    heard = Heard(merge=Merge())
    streams = kalshi(venue, heard, keys["ed25519"][0])

    async def work() -> None:
        await until(lambda: len(heard.changes) >= 2, "two refusals")

    drive(streams, work)

    assert set(heard.changes) == {"handshake refused: 401"}
    assert heard.opened == []


def test_one_of_two_connections_that_falls_silent_is_made_anew_and_nobody_misses_anything(
    venue: Venue, keys: dict[str, tuple[bytes, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("producers.streams._SILENT_BESIDE_A_TWIN_S", 1.0)
    monkeypatch.setattr("producers.streams._SETTLED_S", 1.0)
    heard = Heard(merge=Merge())
    streams = kalshi(venue, heard, keys["rsa"][0])
    bids = [round(0.30 + step / 100, 2) for step in range(40)]

    async def work() -> None:
        await until(lambda: all_shown(streams, TICKERS) and streams.opened == 2, "both are open")
        both = list(streams.connections.values())
        open_s = max(connection.line.opened_s or 0.0 for connection in both)
        await do(venue.quote, TICKERS[20], 0.29)
        await until(lambda: all(connection.told_s > open_s for connection in both), "and both tell")
        await do(venue.fault, "frozen", prefix="/kalshi", connection=1)
        for bid in bids:
            await do(venue.quote, TICKERS[20], bid)
            await asyncio.sleep(0.05)
        await until(lambda: any("silent for" in change for change in heard.changes), "the silent one is found")
        await until(lambda: bids_told()[-1:] == [round(bids[-1] * 1_000_000)], "the last change is told")

    def bids_told() -> list[int | None]:
        return [top.bid_ppm for top in heard.tops if top.token == TICKERS[20] and top.channel == "ticker"]

    drive(streams, work)

    assert bids_told()[-len(bids) :] == [round(bid * 1_000_000) for bid in bids]
    assert heard.opened == []


ACK = b'{"id": 1, "type": "subscribed", "msg": {"channel": "ticker", "sid": 1}}'


class Twins:
    """Two connections that tell the same, of one market, driven by hand a second at a time."""

    def __init__(self, private: bytes) -> None:
        self.heard, self.clock = Heard(merge=Merge()), ManualClock(START_US)
        sockets = KalshiSockets("ws://nowhere", Signer("k", private), self.clock.now_us)
        self.streams = Streams(sockets, self.heard, self.clock, connections=2, places=0)
        self.streams.continuity.met(TICKERS[0], self.clock.monotonic_s())
        self.lines = [
            Line(n, "", dict, None, 10.0, self.streams, RateLimit(1.0, self.clock), self.clock) for n in (1, 2)
        ]
        self.streams.connections = {line.number: Connection(line.number, line=line) for line in self.lines}

    def opens(self, line: Line) -> None:
        self.clock.advance(1)
        line.opened_s = line.heard_s = self.clock.monotonic_s()
        self.streams.opened_line(line)

    def says(self, line: Line, body: bytes = ACK) -> None:
        self.clock.advance(1)
        line.heard_s = self.clock.monotonic_s()
        self.streams.frame(line, body)

    def tells(self, line: Line) -> None:
        message = {"market_ticker": TICKERS[0], "ts_ms": self.clock.now_us() // 1_000}
        prices = {"yes_bid_dollars": "0.4000", "yes_ask_dollars": "0.4200"}
        self.says(line, json.dumps({"type": "ticker", "sid": 1, "msg": message | prices}).encode())

    def both_tell(self) -> tuple[Line, Line]:
        """Opens both; each has told."""
        one, two = self.lines
        for line in (one, two):
            self.opens(line)
            self.tells(line)
        return one, two

    def ends(self, line: Line, reason: str) -> None:
        self.streams.closed_line(line, reason, None)
        line.opened_s = None


def test_books_are_renewed_under_the_number_that_the_venue_gave_their_subscription(
    keys: dict[str, tuple[bytes, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where a channel is refused, the books are not the fourth subscription of their connection."""
    twins = Twins(keys["rsa"][0])
    one, _ = twins.both_tell()
    sent: list[str] = []
    monkeypatch.setattr(one, "send", sent.extend)
    said = {"market_ticker": TICKERS[0], "yes_dollars_fp": [["0.4000", "10.00"]], "no_dollars_fp": []}
    change = {"market_ticker": TICKERS[0], "price_dollars": "0.4100", "delta_fp": "3.00", "side": "yes"}

    twins.says(one, b'{"id": 4, "type": "subscribed", "msg": {"channel": "orderbook_delta", "sid": 3}}')
    twins.says(one, json.dumps({"type": "orderbook_snapshot", "sid": 3, "seq": 1, "msg": said}).encode())
    twins.says(one, json.dumps({"type": "orderbook_delta", "sid": 3, "seq": 3, "msg": change}).encode())

    assert [json.loads(text)["params"] for text in sent] == [
        {"sids": [3], "action": "get_snapshot", "market_tickers": [TICKERS[0]]}
    ]


def test_a_twin_whose_subscription_is_not_known_to_stand_covers_for_nobody(
    keys: dict[str, tuple[bytes, str]],
) -> None:
    twins = Twins(keys["rsa"][0])
    heard, [one, two] = twins.heard, twins.lines

    for line in (one, two):
        twins.opens(line)
        twins.says(line)
    twins.ends(one, "closed: 1013")
    covered = list(heard.opened)
    twins.opens(one)
    twins.ends(two, "closed: 1013")
    twins.opens(two)
    twins.streams.watch()
    closed_too_early = list(heard.closed)
    twins.says(two)
    twins.streams.watch()

    twins.says(one)
    twins.clock.advance(20)
    twins.ends(one, "3 tokens frozen")

    assert covered == []
    assert heard.opened.pop() == (1, 1, "3 tokens frozen"), "the other one has been as silent for 20 s"
    assert heard.opened == [(2, 1, "closed: 1013")]
    assert closed_too_early == [], "it stands open, and nothing says that it tells"
    assert heard.closed == [2]


def test_a_twin_that_answers_our_commands_and_tells_nothing_covers_for_nobody(
    keys: dict[str, tuple[bytes, str]],
) -> None:
    twins = Twins(keys["rsa"][0])
    one, two = twins.both_tell()

    twins.clock.advance(20)
    twins.says(two)
    twins.ends(one, "2 tokens frozen")

    assert twins.heard.opened == [(1, 1, "2 tokens frozen")]


def test_a_connection_that_is_found_dead_covered_for_nobody_since_it_fell_silent(
    keys: dict[str, tuple[bytes, str]],
) -> None:
    twins = Twins(keys["rsa"][0])
    one, two = twins.both_tell()

    twins.ends(one, "closed: 1013")
    covered = list(twins.heard.opened)
    twins.opens(one)
    for _ in range(10):
        twins.tells(one)
    twins.ends(two, "silent for 12 s beside a connection that tells")

    assert covered == [], "the other one told a second ago"
    assert twins.heard.opened == [(2, 1, "silent for 12 s beside a connection that tells")]


def test_a_connection_that_falls_silent_beside_one_that_told_all_the_while_is_no_gap(
    keys: dict[str, tuple[bytes, str]],
) -> None:
    twins = Twins(keys["rsa"][0])
    one, two = twins.both_tell()

    for _ in range(12):
        twins.tells(one)
    twins.ends(two, "silent for 12 s beside a connection that tells")

    assert twins.heard.opened == []


def test_either_of_two_connections_killed_100_times_loses_nothing_and_doubles_nothing(
    venue: Venue, keys: dict[str, tuple[bytes, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("producers.line._MOST_PAUSE_S", 0.02)
    heard = Heard(merge=Merge())
    streams = kalshi(venue, heard, keys["rsa"][0])
    sent: list[tuple[str, int]] = []

    async def work() -> None:
        await until(lambda: all_shown(streams, TICKERS) and streams.opened == 2, "both are open")
        heard.tops.clear()
        for kill in range(100):
            standing = await asyncio.to_thread(venue.connections)
            await do(venue.fault, "drop", prefix="/kalshi", connection=standing[kill % 2]["number"])
            for step in range(3):
                ticker, bid = TICKERS[(3 * kill + step) % MARKETS], 100_000 + 1_000 * (3 * kill + step)
                await do(venue.quote, ticker, bid / 1_000_000)
                sent.append((ticker, bid))
            await until(lambda: streams.opened == 2, "both are open again")
            # Both have begun to tell: the one that is killed next is not the only one that knew.
            await until(lambda: len(venue.connections()) == 2, "the venue sees both")
            await until(lambda: all(c.tells for c in streams.connections.values()), "and both know it")

    drive(streams, work)

    told = [(top.token, top.bid_ppm) for top in heard.tops if top.channel == "ticker"]
    assert told == sent
    assert heard.opened == []
