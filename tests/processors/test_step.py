from __future__ import annotations

from collections.abc import Callable

import pytest

from kernel.errors import BadMessageError, TransientError
from kernel.metrics import STATE_DROPPED
from processors.analytics.rules import Rule
from processors.analytics.windows import WindowPlan
from processors.analytics_app import NOTHING, make_step, pack, unpack
from processors.step import Known, MarketEvent, Result, guarded
from processors.titles import UNKNOWN
from schemas.codec import Codec
from schemas.events import Move, Tick
from schemas.topics import MOVES, TICKS
from schemas.units import US_PER_S
from tests.processors.ticks import START_US, make_tick
from tests.sinks.events import a_bar, a_market, a_move, a_tick, an_alert


class SchemasInMemory:
    """A registry that has every schema it was asked for."""

    def __init__(self) -> None:
        self._texts: list[str] = []

    def id_of(self, subject: str, schema: str) -> int:
        if schema not in self._texts:
            self._texts.append(schema)
        return self._texts.index(schema)

    def by_id(self, schema_id: int) -> str:
        try:
            return self._texts[schema_id]
        except IndexError:
            raise LookupError(schema_id) from None


STORE = SchemasInMemory()
TICK_CODEC = Codec(TICKS, STORE, Tick)
STEP = make_step(STORE, WindowPlan((300, 900)), (Rule(),), lambda market_id: UNKNOWN)
KEY = b"KALSHI:A"
NOW_US = START_US + 365 * 86_400 * US_PER_S


def test_a_tick_becomes_a_move_and_a_state() -> None:
    result = guarded(STEP, KEY, TICK_CODEC.encode(make_tick(0, 400_000)), NOTHING, NOW_US)

    ((topic, value),) = result.outputs
    assert topic == MOVES.name
    assert Codec(MOVES, STORE, Move).decode(value).price_ppm == 400_000
    assert pack(result.known)[0]
    assert not result.late


@pytest.mark.parametrize("make", [a_tick, a_move, a_bar, an_alert, a_market])
def test_a_step_may_read_any_event_of_a_market(make: Callable[[], MarketEvent]) -> None:
    event = make()

    result = guarded(lambda _value, known: Result(event, (), known), event.market_id.encode(), b"x", None, NOW_US)

    assert result.event is event


def test_a_redelivered_tick_is_late_and_leaves_the_state_as_it_was() -> None:
    value = TICK_CODEC.encode(make_tick(0, 400_000))
    first = guarded(STEP, KEY, value, NOTHING, NOW_US)

    again = guarded(STEP, KEY, value, first.known, NOW_US)

    assert (again.outputs, again.known, again.late) == ((), first.known, True)


@pytest.mark.parametrize(
    ("key", "value", "reason"),
    [
        (b"", b"x", "empty"),
        (KEY, None, "empty"),
        (KEY, b"{}", "undecodable"),
        (KEY, TICK_CODEC.encode(make_tick(0, 400_000))[:-1], "undecodable"),
        (KEY, b"\x00\x00\x00\x03\xe7" + b"\x00" * 40, "undecodable"),
        (b"KALSHI:B", TICK_CODEC.encode(make_tick(0, 400_000)), "wrong_key"),
        (KEY, TICK_CODEC.encode(make_tick(0, 400_000, market_status="dancing")), "failed"),
        (KEY, TICK_CODEC.encode(make_tick(86_400, 400_000, ts_received_us=START_US)), "stamped_ahead"),
        (KEY, TICK_CODEC.encode(make_tick(366 * 86_400, 400_000)), "stamped_ahead"),
    ],
)
def test_a_message_that_cannot_be_used_is_named_with_its_reason(key: bytes, value: bytes | None, reason: str) -> None:
    with pytest.raises(BadMessageError) as caught:
        guarded(STEP, key, value, NOTHING, NOW_US)

    assert caught.value.reason == reason
    assert caught.value.body == (value or b"")


def test_a_message_that_cannot_be_used_leaves_what_was_known_as_it_was() -> None:
    known = guarded(STEP, KEY, TICK_CODEC.encode(make_tick(0, 400_000)), NOTHING, NOW_US).known
    before = pack(known)

    with pytest.raises(BadMessageError):
        guarded(STEP, KEY, TICK_CODEC.encode(make_tick(366 * 86_400, 450_000)), known, NOW_US)

    assert pack(known) == before


def test_a_registry_that_is_away_is_not_the_messages_fault() -> None:
    def step(value: bytes, known: Known) -> Result:
        raise TransientError("registry away")

    with pytest.raises(TransientError):
        guarded(step, KEY, b"x", NOTHING, NOW_US)


@pytest.mark.parametrize(("part", "name"), [(0, "history"), (2, "bar"), (3, "episodes")])
def test_a_state_of_another_version_is_dropped_and_told_and_the_tick_counts(part: int, name: str) -> None:
    value = TICK_CODEC.encode(make_tick(0, 400_000))
    kept = list(pack(guarded(STEP, KEY, value, NOTHING, NOW_US).known))
    kept[part] = b"\xfe of a version to come"
    before = STATE_DROPPED.labels("analytics", name)._value.get()

    later = make_tick(60, 500_000)
    result = guarded(STEP, KEY, TICK_CODEC.encode(later), unpack(tuple(kept)), NOW_US)

    assert [topic for topic, _ in result.outputs][:1] == [MOVES.name]
    assert not result.late
    assert STATE_DROPPED.labels("analytics", name)._value.get() == before + 1
