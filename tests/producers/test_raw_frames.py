"""Raw frames wait for more of their connection, and none of them for long."""

from __future__ import annotations

from kernel.clock import ManualClock
from kernel.errors import BadMessageError
from producers.base import Received
from producers.batch import frames
from producers.facts import Facts
from producers.polymarket.sockets import PolymarketSpeech
from producers.shards import Shard
from producers.streamed import Streamed
from producers.streams import Source
from producers.tracked import Tracked
from producers.venue_clock import VenueClock
from schemas.events import Tick
from schemas.units import US_PER_S


class Raw:
    """Keeps what goes to the raw topic."""

    def __init__(self) -> None:
        self.bodies: list[list[bytes]] = []

    def received(self, received: Received) -> None:
        self.bodies.append([frame.body for frame in frames(received.body)])

    def tick(self, tick: Tick, category: str) -> None:
        raise AssertionError("no tick is told")

    def refused(self, error: BadMessageError, channel: str) -> None:
        raise AssertionError("nothing is refused")


def streamed(out: Raw, clock: ManualClock) -> Streamed:
    return Streamed(
        Shard("polymarket"), PolymarketSpeech(), Tracked(), VenueClock(5.0, clock.now_us()), out, clock,
        lambda: 60, lambda *_: None, lambda _: None,
    )  # fmt: skip


def test_frames_wait_a_second_for_more_of_their_connection_and_at_the_end_not_at_all() -> None:
    out, clock = Raw(), ManualClock(1_000 * US_PER_S)
    listener, first, second = streamed(out, clock), Source(1, connection_id="a"), Source(2, connection_id="b")

    def told(source: Source, body: bytes) -> None:
        source.data_us = clock.now_us()
        listener.told(source, body, Facts())

    told(first, b"1")
    clock.advance(0.6)
    told(first, b"2")
    told(second, b"3")
    listener.flush()
    assert out.bodies == []

    clock.advance(0.4)
    listener.flush()
    assert out.bodies == [[b"1", b"2"]]

    listener.flush(ending=True)
    assert out.bodies == [[b"1", b"2"], [b"3"]]


def test_a_clock_that_is_set_back_keeps_no_frame() -> None:
    out, clock = Raw(), ManualClock(1_000 * US_PER_S)
    listener, source = streamed(out, clock), Source(1, connection_id="a", data_us=1_500 * US_PER_S)
    listener.told(source, b"1", Facts())

    listener.flush()

    assert out.bodies == [[b"1"]]
