"""The processors as processes on a real broker: right, whole after kill -9, not stopped by one bad message."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import httpx
import pytest

from kernel.kafka.readers import read_to_end
from schemas.events import Alert, Bar, DeadLetter, Event, Market, Move, Tick
from schemas.topics import ALERTS, BARS, DEAD_LETTERS, MARKETS, MOVES, TICKS
from schemas.units import US_PER_S
from tests.processors.analytics.brute_force import price_at, spells
from tests.processors.on_kafka import Stack, on_own_kafka
from tests.processors.ticks import START_US, make_tick
from tests.stack.processes import ServiceProcess, kafka_at
from tests.stack.waiting import wait_until

pytestmark = pytest.mark.stack

MARKETS_OF_TEST = 25
TICKS_EACH = 120
WINDOWS = (300, 900, 3600, 86400)


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory, registry: ServiceProcess) -> Iterator[Stack]:
    folder = tmp_path_factory.mktemp("processors") / "a folder"
    with on_own_kafka(folder, registry, 3) as (_, made):
        yield made


def random_walks(seed: int) -> list[Tick]:
    """Ticks of many markets in order of time: calm, jumping, losing their price, ending."""
    rng, ticks = random.Random(seed), []
    prices = {f"KALSHI:M{i}": rng.randrange(200_000, 800_000) for i in range(MARKETS_OF_TEST)}
    for step in range(TICKS_EACH):
        for place, (market, price) in enumerate(prices.items()):
            size = 150_000 if rng.random() < 0.03 else 4_000
            prices[market] = min(990_000, max(10_000, price + rng.randrange(-size, size + 1) // 1000 * 1000))
            shown = None if rng.random() < 0.01 else prices[market]
            status = "closed" if step > 110 and place == 3 else "open"
            extra = {"market_id": market, "token_id": f"{market}:YES", "market_status": status, "heartbeat_s": 45}
            usd = float(step * 100)
            ticks.append(make_tick(step * 45 + place / 100, shown, volume_total_usd=usd, **extra))
    return ticks


def by_market(events: list[Any]) -> dict[str, list[Any]]:
    grouped: dict[str, list[Any]] = {}
    for event in events:
        grouped.setdefault(event.market_id, []).append(event)
    return grouped


def assert_moves_are_right(ticks: list[Tick], moves: list[Move]) -> None:
    """Each distinct move against a brute force over the ticks; each priced tick has one."""
    distinct = {(m.market_id, m.ts_event_us): m for m in moves}
    assert len({m.event_id for m in moves}) == len(distinct)
    priced = {(t.market_id, t.ts_event_us) for t in ticks if t.price_ppm is not None}
    assert {place for place, m in distinct.items() if m.price_ppm is not None} == priced
    for market, of_market in by_market(ticks).items():
        found = spells(of_market)
        for tick in of_market:
            move = distinct.get((market, tick.ts_event_us))
            if move is None:
                continue
            assert tuple(w.window_s for w in move.windows) == WINDOWS
            for window in move.windows:
                then = price_at(found, tick.ts_event_us - window.window_s * US_PER_S)
                assert window.price_then_ppm == (then.price_ppm if then else None)
                if then and tick.price_ppm is not None:
                    assert window.move_pp == (tick.price_ppm - then.price_ppm) / 10_000


def assert_bars_are_right(ticks: list[Tick], bars: list[Bar]) -> None:
    minutes: dict[tuple[str, int], list[int]] = {}
    newest: dict[str, int] = {}
    for tick in ticks:
        minute = tick.ts_event_us // 60_000_000 * 60_000_000
        newest[tick.market_id] = minute
        if tick.price_ppm is not None:
            minutes.setdefault((tick.market_id, minute), []).append(tick.price_ppm)
    expected = {
        key: (prices[0], max(prices), min(prices), prices[-1], len(prices))
        for key, prices in minutes.items()
        if key[1] != newest[key[0]]
    }
    told = {(b.market_id, b.bar_start_us): (b.open_ppm, b.high_ppm, b.low_ppm, b.close_ppm, b.ticks) for b in bars}
    assert told == expected


def market_facts(market_id: str) -> Market:
    return Market(
        event_id="f" * 24,
        venue="kalshi",
        market_id=market_id,
        venue_market_id=market_id,
        token_ids=(f"{market_id}:YES", f"{market_id}:NO"),
        outcomes=("Yes", "No"),
        title=f"Will {market_id} happen?",
        event_key=f"of {market_id}",
        event_title="The event",
        mutually_exclusive=False,
        category="climate",
        venue_category="Climate",
        tags=(),
        status="open",
        url=f"https://example.org/{market_id}",
        ts_event_us=START_US,
        ts_received_us=START_US,
    )


def test_ticks_become_moves_bars_and_alerts_although_a_processor_is_killed(stack: Stack) -> None:
    ticks = random_walks(seed=3)
    half = len(ticks) // 2
    stack.publish(MARKETS.name, [market_facts(f"KALSHI:M{i}") for i in range(MARKETS_OF_TEST)])
    stack.start("analytics")

    stack.publish(TICKS.name, ticks[:half])
    stack.wait_for(MOVES.name, "a part of the moves", lambda moves: len(moves) > 100)
    stack.running["analytics"].kill()
    stack.running["analytics"].wait(90)
    stack.publish(TICKS.name, ticks[half:])
    bad = stack.publisher()
    bad.publish(TICKS.name, b"KALSHI:M1", b"not a tick", [("venue", b"kalshi")])
    assert bad.flush(60) == 0
    hour_us = 3_600 * US_PER_S
    after = [
        replace(t, ts_event_us=t.ts_event_us + hour_us, ts_received_us=t.ts_received_us + hour_us, price_ppm=None)
        for t in ticks[-MARKETS_OF_TEST:]
    ]
    stack.publish(TICKS.name, after)
    stack.start("analytics")

    everything = [*ticks, *after]
    priced = sum(t.price_ppm is not None for t in everything)
    moves = stack.wait_for(
        MOVES.name,
        "all moves",
        lambda found: len({m.event_id for m in found if m.price_ppm is not None}) >= priced,
    )
    assert_moves_are_right(everything, moves)
    minutes = {(t.market_id, t.ts_event_us // 60_000_000) for t in ticks if t.price_ppm is not None}
    bars = stack.wait_for(BARS.name, "all bars", lambda found: len({b.event_id for b in found}) >= len(minutes))
    assert_bars_are_right(everything, bars)
    alerts = stack.wait_for(ALERTS.name, "the ends of all episodes", every_episode_ended)
    assert_alerts_are_right(moves, alerts)
    assert {a.title for a in alerts} <= {f"Will KALSHI:M{i} happen?" for i in range(MARKETS_OF_TEST)}
    assert {a.url for a in alerts if a.market_id == alerts[0].market_id} == {
        f"https://example.org/{alerts[0].market_id}"
    }


def every_episode_ended(alerts: list[Alert]) -> bool:
    opened = {a.alert_id for a in alerts if a.state == "detected"}
    return bool(opened) and opened == {a.alert_id for a in alerts if a.state in ("closed", "reverted")}


def assert_alerts_are_right(moves: list[Move], alerts: list[Alert]) -> None:
    """Each alert was told of a move that exists and says what that move says; the rule itself is tested elsewhere."""
    by_place = {(m.market_id, m.ts_event_us): m for m in moves}
    for alert in alerts:
        if alert.price_ppm is None:
            continue  # ended by time, or by the loss of the price
        move = by_place[alert.market_id, alert.ts_event_us]
        assert alert.price_then_ppm is not None
        assert alert.price_ppm == move.price_ppm
        assert alert.move_pp == (alert.price_ppm - alert.price_then_ppm) / 10_000
        if alert.state == "detected":
            (window,) = [w for w in move.windows if w.window_s == alert.window_s]
            assert abs(alert.move_pp) >= 10
            assert abs(window.move_pp or 0) >= 10


def test_an_undecodable_message_lands_in_dead_letters_with_its_place(stack: Stack) -> None:
    letters = stack.wait_for(DEAD_LETTERS.name, "the letter", lambda found: len(found) >= 1)

    assert {(x.stage, x.reason, x.channel, x.body, x.venue) for x in letters} == {
        ("analytics", "undecodable", "ticks", b"not a tick", "kalshi"),
    }
    keys = {m.key().decode() for m in read_to_end(kafka_at(stack.bootstrap), DEAD_LETTERS.name)}
    assert keys == {f"ticks/{x.partition}/{x.offset}" for x in letters}


@pytest.fixture
def at_work(stack: Stack) -> Stack:
    """With a processor that has told of ticks: the one of the tests before, or one of this test's own."""
    if "analytics" not in stack.running:
        stack.publish(MARKETS.name, [market_facts(f"KALSHI:M{i}") for i in range(MARKETS_OF_TEST)])
        stack.publish(TICKS.name, random_walks(seed=3))
        stack.start("analytics")
    for topic in (MOVES, BARS, ALERTS):
        stack.wait_for(topic.name, f"some {topic.name}", lambda found: len(found) > 0)
    return stack


def test_outputs_keep_key_and_headers_and_stay_in_their_partition(at_work: Stack) -> None:
    stack = at_work
    places = {m.key(): m.partition() for m in read_to_end(kafka_at(stack.bootstrap), TICKS.name)}

    for topic in (MOVES, BARS, ALERTS):
        codec = stack.codec(topic.name)
        messages = list(read_to_end(kafka_at(stack.bootstrap), topic.name))
        assert messages, topic.name
        for message in messages:
            event: Event = codec.decode(message.value())
            assert not isinstance(event, DeadLetter)
            assert message.key().decode() == event.market_id  # type: ignore[union-attr]
            assert message.partition() == places[message.key()]
            assert dict(message.headers()) == {"venue": b"kalshi", "category": b"climate"}


def test_health_and_metrics_tell_that_the_processors_work(at_work: Stack) -> None:
    stack = at_work
    assert stack.ports
    for name, port in stack.ports.items():

        def healthy(port: int = port) -> bool:
            return httpx.get(f"http://127.0.0.1:{port}/health", trust_env=False, timeout=60).status_code == 200

        wait_until(healthy, f"{name} is healthy")
        text = httpx.get(f"http://127.0.0.1:{port}/metrics", trust_env=False, timeout=60).text
        assert f'movers_lag_seconds_count{{stage="{name}",venue="kalshi"}}' in text


def test_sigterm_ends_a_processor_with_zero(stack: Stack) -> None:
    process = stack.running.pop("analytics")

    process.terminate()

    assert process.wait(90) == 0, stack.log("analytics")


def test_too_much_bad_input_stops_the_processor_loudly(stack: Stack) -> None:
    stack.start("analytics")
    process = stack.running.pop("analytics")
    publisher = stack.publisher()
    for i in range(1200):
        publisher.publish(TICKS.name, b"KALSHI:M1", b"nonsense %d" % i)
    assert publisher.flush(60) == 0

    wait_until(lambda: process.poll() is not None, "the processor gave up", 90)

    assert process.returncode != 0
    assert "could not be used" in stack.log("analytics")
