"""One readable line for each thing a frame tells. Reviewed ones: `reviewed.py`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

import orjson

from producers.facts import Facts, News, Top, Traded


class Frames(Protocol):
    """What both venues' frame readers can do."""

    def read(self, body: bytes) -> Facts:
        """What a frame tells."""


def frames_of(path: Path) -> Iterator[bytes]:
    """The frames of a fixture, their recorder's envelopes taken off."""
    text = path.read_text("utf-8")
    if path.suffix == ".jsonl":
        items = [json.loads(line) for line in text.splitlines()]
    else:
        body = json.loads(text)
        items = body["frames"] if isinstance(body, dict) and "frames" in body else [body]
    for item in items:
        yield orjson.dumps(item["frame"] if isinstance(item, dict) and "frame" in item else item)


def tokens_of(path: Path) -> list[str]:
    """All tokens that the frames of a fixture name, in order of their first."""
    found: dict[str, None] = {}

    def walk(value: Any) -> None:
        if isinstance(value, dict):
            if isinstance(value.get("asset_id"), str):
                found[value["asset_id"]] = None
            value = list(value.values())
        if isinstance(value, list):
            for item in value:
                walk(item)

    for frame in frames_of(path):
        walk(orjson.loads(frame))
    return list(found)


def lines(reader: Frames, path: Path) -> list[str]:
    """All frames of a fixture, in order: their number, and a line for each thing told."""
    return [f"{number}: {line}" for number, body in enumerate(frames_of(path), 1) for line in told(reader.read(body))]


def told(facts: Facts) -> Iterator[str]:
    """What one frame tells."""
    for fact in facts.facts:
        yield _line(fact)
    for token in facts.opened:
        yield f"opened {token[:12]}"
    for token in facts.doubts:
        yield f"doubt {token[:12]}"
    for channel, count in facts.missed.items():
        yield f"missed {count} of {channel}"
    for ack in facts.acks:
        yield f"ack {ack.command} {ack.channel} sid {ack.subscription} {ack.code or ''} {ack.text}".rstrip()
    for error in facts.bad:
        yield f"refused {error.reason}: {error.detail}"
    for reason, count in facts.left_out.items():
        yield f"left out {reason} {count}"


def _line(fact: Top | Traded | News) -> str:
    if isinstance(fact, Top):
        sizes = f"{fact.bid_size_contracts} {fact.ask_size_contracts}"
        more = f"{' opening' if fact.opening else ''} last {fact.last_ppm} volume {fact.volume_contracts}"
        return f"top {fact.token[:40]} {fact.bid_ppm}/{fact.ask_ppm} sizes {sizes} at {fact.ts_us}{more}"
    if isinstance(fact, Traded):
        return f"traded {fact.token[:40]} {fact.contracts} at {fact.price_ppm}, {fact.ts_us} {fact.trade_id[:12]}"
    return f"news {fact.market[:40]} {fact.word} {fact.ts_us}"
