"""Messages to a batch: what is kept, what is refused and why, and which offsets stand for all of it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from hypothesis import given
from hypothesis import strategies as st

from kernel.kafka.readers import Place
from schemas.avro_files import schema_text
from schemas.codec import Codec
from schemas.events import Event
from schemas.topics import ALERTS, BARS, FEED_STATUS, MARKETS, MOVES, TICKS, Topic
from sinks.clickhouse.batch import Batch, Reader, Span, insert_token
from tests.schemas.test_examples import OneSchemaStore
from tests.sinks.events import NOON_US, a_bar, a_market, a_move, a_status, a_tick, an_alert

TOPICS = (MARKETS, TICKS, MOVES, BARS, ALERTS, FEED_STATUS)


class AllSchemas:
    """Every topic's schema under an id of its own."""

    def __init__(self) -> None:
        self._ids = {schema_text(topic.subject_file): number for number, topic in enumerate(TOPICS, start=1)}

    def id_of(self, subject: str, schema: str) -> int:
        return self._ids[schema]

    def by_id(self, schema_id: int) -> str:
        return {number: text for text, number in self._ids.items()}[schema_id]


@dataclass(frozen=True)
class Sent:
    """What the client gives of a message."""

    of: Topic
    at: int
    body: bytes | None
    partition_: int = 0
    epoch: int | None = 4
    about: list[tuple[str, bytes]] | None = field(default_factory=lambda: [("venue", b"kalshi")])

    def topic(self) -> str:
        return self.of.name

    def partition(self) -> int:
        return self.partition_

    def offset(self) -> int:
        return self.at

    def leader_epoch(self) -> int | None:
        return self.epoch

    def value(self) -> bytes | None:
        return self.body

    def headers(self) -> list[tuple[str, bytes]] | None:
        return self.about


def sent(topic: Topic, offset: int, event: Event) -> Sent:
    return Sent(topic, offset, Codec(topic, AllSchemas(), topic.event).encode(event))


def read(*messages: Sent) -> Batch:
    return Reader(AllSchemas(), TOPICS).read(list(messages))


def test_each_kind_of_event_is_kept_apart() -> None:
    events: tuple[Event, ...] = (a_market(), a_tick(), a_move(), a_bar(), an_alert(), a_status())

    batch = read(*(sent(topic, 5, event) for topic, event in zip(TOPICS, events, strict=True)))

    kept = (batch.markets, batch.ticks, [*batch.moves.values()], batch.bars, batch.alerts, batch.statuses)
    assert [len(each) for each in kept] == [1] * 6
    assert [each[0].event_id for each in kept] == [event.event_id for event in events]
    assert batch.messages == 6
    assert batch.rejected == []


def test_of_several_moves_of_a_token_the_newest_is_kept_and_all_are_counted() -> None:
    at_us = (NOON_US, NOON_US + 2, NOON_US + 1)

    batch = read(*(sent(MOVES, offset, a_move("T", ts_us)) for offset, ts_us in enumerate(at_us)))

    assert [move.ts_event_us for move in batch.moves.values()] == [NOON_US + 2]
    assert (batch.messages, batch.offsets) == (3, {("moves", 0): 2})


def test_a_batch_covers_from_the_first_to_the_last_offset_of_each_place() -> None:
    batch = read(
        sent(TICKS, 7, a_tick("A")),
        sent(BARS, 3, a_bar()),
        sent(TICKS, 9, a_tick("B")),
        replace(sent(TICKS, 2, a_tick("C")), partition_=1, epoch=None),
    )

    places = (("ticks", 0), ("ticks", 1), ("bars", 0))
    assert batch.spans(dict.fromkeys(places, "e")) == {
        ("ticks", 0): Span("e", 7, 9),
        ("ticks", 1): Span("e", 2, 2),
        ("bars", 0): Span("e", 3, 3),
    }
    assert batch.leader_epochs == {("ticks", 0): 4, ("ticks", 1): -1, ("bars", 0): 4}
    assert batch.tick_places == [(0, 7), (0, 9), (1, 2)]


def test_bytes_that_are_no_event_are_refused_with_their_place_and_venue() -> None:
    batch = read(sent(TICKS, 1, a_tick()), Sent(TICKS, 2, b"\x01nonsense"))

    (refused,) = batch.rejected
    assert (refused.place, refused.venue, refused.error.reason) == ("ticks/0/2", "kalshi", "undecodable")
    assert refused.error.body == b"\x01nonsense"
    assert batch.tick_places == [(0, 1)]


def test_an_event_that_no_column_can_hold_is_refused_and_its_neighbours_are_kept() -> None:
    ahead = a_tick("B", NOON_US, ts_received_us=NOON_US - 3_600_000_000)

    batch = read(sent(TICKS, 1, a_tick("A")), sent(TICKS, 2, ahead), sent(TICKS, 3, a_tick("C")))

    assert [tick.token_id for tick in batch.ticks] == ["A", "C"]
    assert [(each.offset, each.error.reason) for each in batch.rejected] == [(2, "stamped_ahead")]


def test_what_was_refused_is_covered_by_the_offsets_or_it_would_be_read_for_ever() -> None:
    batch = read(Sent(TICKS, 4, b""), Sent(TICKS, 5, b"x"))

    assert (batch.first, batch.offsets, batch.messages) == ({("ticks", 0): 4}, {("ticks", 0): 5}, 2)


def test_a_tombstone_is_passed_over_and_counted() -> None:
    batch = read(Sent(MARKETS, 8, None))

    assert (batch.markets, batch.rejected, batch.messages) == ([], [], 1)
    assert batch.offsets == {("markets", 0): 8}


def test_a_message_without_headers_is_refused_like_any_other() -> None:
    for about in (None, [], [("venue", b"")], [("other", b"x")]):
        (refused,) = read(Sent(TICKS, 1, b"x", about=about)).rejected
        assert refused.venue == ""


def test_a_venue_that_is_no_text_does_not_stop_the_refusal() -> None:
    (refused,) = read(Sent(TICKS, 1, b"x", about=[("venue", b"\xff\xfe")])).rejected

    assert refused.venue == "��"


def test_the_schema_of_another_topic_is_no_reason_to_stop() -> None:
    """Somebody produced a bar onto ticks: the id is known, the bytes are no tick."""
    batch = read(replace(sent(BARS, 1, a_bar()), of=TICKS))

    assert [each.error.reason for each in batch.rejected] == ["undecodable"]


def test_a_schema_that_the_registry_does_not_know_refuses_the_message() -> None:
    body = Codec(TICKS, OneSchemaStore(schema_text("ticks"), schema_id=1), TICKS.event).encode(a_tick())
    reader = Reader(OneSchemaStore(schema_text("ticks"), schema_id=2), [TICKS])

    batch = reader.read([Sent(TICKS, 1, body)])

    assert [each.error.detail for each in batch.rejected] == ["unknown schema id 1"]


numbers = st.sampled_from([1, 2, 11, 112])
covered = st.dictionaries(
    st.tuples(st.sampled_from(["ticks", "bars"]), st.integers(0, 1)),
    st.builds(Span, st.sampled_from(["t", "t~1"]), numbers, numbers),
    max_size=2,
)


def test_a_longer_batch_from_the_same_start_has_another_token() -> None:
    """Or the store would take it for the shorter one, and drop it."""
    tokens = {insert_token("snapshots", "ticks", {("ticks", 0): Span("t", 5, last)}) for last in (9, 10)}

    assert len(tokens) == 2


@given(covered, covered)
def test_a_token_names_exactly_its_rows(one: dict[Place, Span], other: dict[Place, Span]) -> None:
    def of_ticks(spans: dict[Place, Span]) -> dict[Place, Span]:
        return {place: span for place, span in spans.items() if place[0] == "ticks"}

    tokens = [insert_token("snapshots", "ticks", spans) for spans in (one, other)]

    assert (tokens[0] == tokens[1]) is (of_ticks(one) == of_ticks(other))


def test_a_token_does_not_depend_on_the_order_of_its_places_and_tells_tables_apart() -> None:
    spans = {("markets", 1): Span("e", 3, 4), ("markets", 0): Span("e", 1, 2)}
    turned = dict(reversed(spans.items()))

    assert insert_token("markets", "markets", spans) == insert_token("markets", "markets", turned)
    assert insert_token("markets", "markets", spans) != insert_token("market_tokens", "markets", spans)
