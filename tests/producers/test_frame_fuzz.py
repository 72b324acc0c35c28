"""Mutated frames: nothing escapes, no price leaves 0..1, no number is infinite, and a healthy frame is read after.

`python -m bench.fuzz` does the same with as many as one likes.
"""

from __future__ import annotations

import copy
import math
import random
from collections.abc import Callable, Iterator
from typing import Any

import orjson
import pytest

from producers.facts import Facts, Top, Traded
from producers.kalshi.frames import KalshiFrames
from producers.polymarket.frames import PolyBoltFrames, PolymarketFrames
from schemas.units import PPM
from tests.payloads import folders
from tests.producers.frame_lines import frames_of, tokens_of
from tests.producers.polymarket.test_polybolt import envelope

ODD: tuple[Any, ...] = (
    None, True, -1, 0, 1e308, 2**70, "", "NaN", "inf", "-0.0", "1e999", "0.5e-400", "٣", "x" * 5_000, [], {}, [[]],
    "1e999990", "0x10", " 0.5 ", "1_000", float(2**53), "99999999999999999999", "-5", ["0.5", "1"],
)  # fmt: skip


def mutated(frame: bytes, rng: random.Random) -> bytes:
    """A frame with some of its bytes, or some of its values, changed."""
    if rng.random() < 0.3:
        body = bytearray(frame)
        for _ in range(rng.randint(1, 8)):
            place = rng.randrange(len(body))
            match rng.randrange(3):
                case 0:
                    body[place] = rng.randrange(256)
                case 1:
                    del body[place : place + rng.randrange(40)]
                case _:
                    body[place:place] = rng.randbytes(rng.randrange(6))
            if not body:
                break
        return bytes(body)
    item = orjson.loads(frame)
    for _ in range(rng.randint(1, 3)):
        _change(item, rng)
    return orjson.dumps([item] * rng.randint(1, 3) if rng.random() < 0.1 else item)


def _change(value: Any, rng: random.Random) -> None:
    """Changes one value somewhere inside."""
    while True:
        keys = list(value) if isinstance(value, dict) else list(range(len(value)))
        if not keys:
            return
        key = rng.choice(keys)
        if isinstance(value[key], dict | list) and value[key] and rng.random() < 0.8:
            value = value[key]
            continue
        if isinstance(value, dict) and rng.random() < 0.2:
            del value[key]
        else:
            odd = copy.deepcopy(rng.choice(ODD))
            value[key] = 2**53 if odd == 2**70 else odd  # orjson writes no larger one
        return


def check(facts: Facts) -> None:
    """Whatever a frame says, what is told of it is sane."""
    for fact in facts.facts:
        if isinstance(fact, Top):
            prices = [fact.bid_ppm, fact.ask_ppm, fact.last_ppm]
            sizes = [fact.bid_size_contracts, fact.ask_size_contracts, fact.volume_contracts]
        elif isinstance(fact, Traded):
            prices, sizes = [fact.price_ppm], [fact.contracts]
        else:
            continue
        assert all(price is None or 0 <= price <= PPM for price in prices), fact
        assert all(size is None or (math.isfinite(size) and 0 <= size < 1e16) for size in sizes), fact
        assert 0 <= fact.ts_us < 4_102_444_800_000_000, fact
        assert isinstance(fact.token, str), fact
    assert all(isinstance(token, str) for token in (*facts.heard, *facts.opened, *facts.doubts)), facts.heard


def polymarket() -> tuple[Callable[[bytes], Facts], list[bytes]]:
    paths = [path for folder in folders("polymarket") for path in sorted(folder.glob("ws_*"))]
    reader = PolymarketFrames()
    reader.follow([token for path in paths for token in tokens_of(path)])
    return reader.read, [frame for path in paths for frame in frames_of(path)]


def kalshi() -> tuple[Callable[[bytes], Facts], list[bytes]]:
    return KalshiFrames().read, [
        frame for folder in folders("kalshi") for path in sorted(folder.glob("ws_*")) for frame in frames_of(path)
    ]


def polybolt() -> tuple[Callable[[bytes], Facts], list[bytes]]:
    """Made after the venue's description: there are no real ones to be had."""
    return PolyBoltFrames().read, [
        envelope(1, snapshot=True),
        envelope(2, [], snapshot=True),
        envelope(3),
        envelope(6, dropped=2),
        b'{"op": "error", "code": "sub_limit", "channel": "price.polymarket", "rid": "s1"}',
    ]


VENUES = {"polymarket": polymarket, "kalshi": kalshi, "polybolt": polybolt}


def fuzz(venue: str, count: int, seed: int) -> Iterator[Facts]:
    """Reads so many mutated frames of a venue in their recorded order, half of them before the healthy one; with a new
    reader each time that all have been read."""
    rng = random.Random(seed)
    _, real = VENUES[venue]()
    for number in range(count):
        if number % len(real) == 0:
            read, _ = VENUES[venue]()
        frame = real[number % len(real)]
        yield read(mutated(frame, rng))
        if rng.random() < 0.5:
            yield read(frame)


@pytest.mark.parametrize("venue", VENUES)
def test_no_mutated_frame_raises_or_tells_nonsense(venue: str) -> None:
    told = refused = 0
    for facts in fuzz(venue, 5_000, seed=11):
        check(facts)
        told += len(facts.facts)
        refused += len(facts.bad)

    assert told > 100
    assert refused > 500
