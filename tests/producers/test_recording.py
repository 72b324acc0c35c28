"""What was recorded and is played again gives the events that were made first, bit for bit."""

from __future__ import annotations

import gzip
from dataclasses import fields
from functools import partial
from pathlib import Path
from typing import Any

import orjson
import pytest

from kernel.errors import BadMessageError, KafkaAwayError, UserError
from kernel.schema_registry import SchemaRegistry
from producers import recording
from producers.recording import arrival, is_noted, read_range, read_tape, write_tape
from producers.registry import VENUES
from producers.replaying import Replay, received_of
from schemas import topics
from schemas.codec import Codec
from schemas.events import Market, RawMessage, Tick
from schemas.units import US_PER_S
from tests.producers.bench import START_US, Bench, kalshi_row, kalshi_venue, perform
from tests.producers.bench import bench as bench
from tests.stack.processes import kafka_at

RAW = RawMessage(
    event_id="0" * 24, venue="kalshi", kind="rest", channel="/markets?limit=1000", connection_id="c", sequence=0,
    errand="hot", promise_s=15, ts_event_us=40 * US_PER_S, age_s=20, ts_received_us=61 * US_PER_S, http_status=200,
    content_type="application/json", body=b"\xff\x00{}",
)  # fmt: skip


class Kept:
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.markets: list[Market] = []
        self.ticks: list[Tick] = []
        self.refusals: list[str] = []

    def market(self, market: Market) -> None:
        """A market."""
        self.markets.append(market)

    def tick(self, tick: Tick, category: str) -> None:
        """A tick."""
        self.ticks.append(tick)

    def refused(self, error: BadMessageError, channel: str) -> None:
        """A refusal."""
        self.refusals.append(error.reason)


@pytest.mark.stack
@pytest.mark.parametrize("bench", ["kalshi"], indirect=True)
def test_a_replay_of_the_raw_topic_gives_the_same_markets_and_ticks(bench: Bench, tmp_path: Path) -> None:
    tickers = [f"KXREP-{n}" for n in range(5)]
    jobs = bench.jobs("kalshi")
    for round_ in range(4):
        rows = [kalshi_row(t, yes_bid_dollars=f"0.{30 + round_ * 2 + n}00") for n, t in enumerate(tickers)]
        if round_ == 3:
            rows[0] |= {"status": "finalized", "result": "yes"}
        headers = bench.date() | ({"Age": "9"} if round_ == 2 else {})
        bench.headers = partial(dict, headers)
        bench.answer = kalshi_venue([*rows, {"ticker": "KXREP-BROKEN"}], {row["ticker"]: row for row in rows})
        perform(jobs, jobs.rounds.crawl, jobs.rounds.sweep, jobs.rounds.hot_poll)
        bench.clock.advance(7)
    asked: list[RawMessage] = [
        raw for raw, _, _ in bench.stack.read(topics.BY_NAME["raw.kalshi"])
        if isinstance(raw, RawMessage) and b"KXREP" in raw.body
    ]  # fmt: skip
    bench.deliver()

    tape = tmp_path / "tape.gz"
    store = SchemaRegistry(bench.stack.registry_url)
    ranged = read_range(kafka_at(bench.stack.bootstrap), store, "kalshi", 0, 2**62)
    written = write_tape(tape, "kalshi", (raw for raw in ranged if raw.connection_id == asked[0].connection_id))
    store.close()
    venue, messages = read_tape(tape)
    out = Kept()
    replay = Replay(VENUES[venue], venue, out, max_skew_s=5, start_us=START_US, noted=is_noted(read_tape(tape)[1]))
    for raw in messages:
        replay.play(raw)

    assert written > 12
    for ticker in tickers:
        market_id = f"KALSHI:{ticker}"
        assert [m for m in out.markets if m.market_id == market_id] == bench.published(topics.MARKETS, market_id)
        made = bench.published(topics.TICKS, market_id)
        assert [t for t in out.ticks if t.market_id == market_id] == made
        assert len(made) >= 3
    assert out.refusals


def test_a_tape_gives_back_what_was_written(tmp_path: Path) -> None:
    raws = [RAW, RawMessage(**{**fields_of(RAW), "sequence": 1, "age_s": None, "ts_event_us": None})]

    assert write_tape(tmp_path / "t.gz", "kalshi", iter(raws)) == 2

    venue, back = read_tape(tmp_path / "t.gz")
    assert (venue, list(back)) == ("kalshi", raws)


def fields_of(raw: RawMessage) -> dict[str, Any]:
    return {field.name: getattr(raw, field.name) for field in fields(RawMessage)}


def test_a_message_is_received_again_as_it_was() -> None:
    again = received_of(RAW)

    assert (again.date_us, again.age_s, again.ts_venue_us) == (60 * US_PER_S, 20, 40 * US_PER_S)
    assert (again.errand.word, again.errand.promise_s, again.path) == ("hot", 15, "/markets")


def test_messages_of_one_moment_stand_in_the_order_of_their_connection() -> None:
    later = RawMessage(**{**fields_of(RAW), "sequence": 2})

    assert arrival(RAW) < arrival(later)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "its first line does not say movers-raw/1"),
        (b'{"format": "movers-tape/1"}\n', "its first line does not say movers-raw/1"),
        (b"not json\n", "line 1"),
        (b'{"format": "movers-raw/1", "venue": "kalshi"}\n{"venue": 1}\n', "line 2: no raw message"),
        (b'{"format": "movers-raw/1", "venue": "kalshi"}\n7\n', "line 2: no raw message"),
    ],
)
def test_what_is_no_tape_is_one_clear_line(tmp_path: Path, content: bytes, said: str) -> None:
    path = tmp_path / "t.gz"
    path.write_bytes(gzip.compress(content))

    with pytest.raises(UserError, match=said):
        list(read_tape(path)[1])


def test_a_tape_cut_short_is_one_clear_line(tmp_path: Path) -> None:
    path = tmp_path / "t.gz"
    write_tape(path, "kalshi", iter([RAW] * 50))
    path.write_bytes(path.read_bytes()[:-20])

    with pytest.raises(UserError, match="cannot read"):
        list(read_tape(path)[1])


@pytest.mark.stack
@pytest.mark.parametrize("bench", ["kalshi"], indirect=True)
def test_a_recording_that_kafka_does_not_give_whole_ends_with_an_error(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recording, "_SILENT_S", 1.0)
    topic, kafka = topics.BY_NAME["raw.kalshi"], kafka_at(bench.stack.bootstrap)
    store = SchemaRegistry(bench.stack.registry_url)
    codec = Codec(topic, store, RawMessage)

    with pytest.raises(KafkaAwayError, match="its end is not reached"):
        list(recording._partition(kafka, topic.name, 0, 0, 2**40, codec))

    store.close()


@pytest.mark.parametrize(("status", "body"), [(500, b"{}"), (200, b"<html>"), (200, b'{"error": "no"}'), (None, b"{}")])
def test_what_holds_no_page_is_counted_and_passed_over(status: int | None, body: bytes) -> None:
    out = Kept()
    replay = Replay(VENUES["kalshi"], "kalshi", out, max_skew_s=5, start_us=START_US, noted=False)

    replay.play(RawMessage(**{**fields_of(RAW), "http_status": status, "body": body}))

    assert (replay.unread, out.ticks, out.markets) == (1, [], [])


def test_json_of_a_page_is_read_as_the_client_read_it() -> None:
    out = Kept()
    replay = Replay(VENUES["kalshi"], "kalshi", out, max_skew_s=5, start_us=START_US, noted=False)
    body = orjson.dumps({"cursor": "", "markets": [kalshi_row("KXE-PLAY")]})

    replay.play(RawMessage(**{**fields_of(RAW), "body": body}))

    assert [tick.market_id for tick in out.ticks] == ["KALSHI:KXE-PLAY"]
