"""Payloads changed at random, as mistakes, proxies and attackers change them. The same seed, the same change."""

from __future__ import annotations

import random
from typing import Any

import orjson

ODD: tuple[Any, ...] = (
    None, True, False, 0, -1, 1, 0.5, 1e308, -1e308, 2**53, "", "0", "1", "-1", "1e999990", "1e400", "NaN", "inf",
    "0.0000", "1.0000", "0.5", "9" * 400, "²", "\x00", "𝔘" * 40, [], {}, [None], ["a", "b"], [["0.5", "1"]], {"a": 1},
    '["Yes", "No"]', "[1, 2]", "[", "2026-08-15T23:00:00Z", "9999-12-31T23:59:59Z", "0001-01-01T00:00:00Z", "yesterday",
)  # fmt: skip


def mutated(body: bytes, rng: random.Random) -> bytes:
    """A body with one to four changes: values, keys and rows taken away, doubled, swapped or made odd; or its bytes."""
    if rng.random() < 0.1:
        return _bytes_changed(body, rng)
    value = orjson.loads(body)
    for _ in range(rng.randint(1, 4)):
        value = _changed(value, rng)
    try:
        return orjson.dumps(value)
    except orjson.JSONEncodeError:  # half a surrogate, or too deep for the writer
        return body


def _bytes_changed(body: bytes, rng: random.Random) -> bytes:
    data = bytearray(body)
    match rng.randint(0, 3):
        case 0:
            del data[rng.randrange(len(data) or 1) :]
        case 1:
            for _ in range(rng.randint(1, 8)):
                data[rng.randrange(len(data))] = rng.randrange(256)
        case 2:
            at = rng.randrange(len(data))
            data[at:at] = b"[" * rng.randint(1, 2_000)
        case _:
            data += data[: rng.randrange(len(data))]
    return bytes(data)


def _changed(value: Any, rng: random.Random) -> Any:
    """A value in which something deep inside is changed."""
    if isinstance(value, dict) and value:
        key = rng.choice(list(value))
        if rng.random() < 0.25:
            return _dict_changed(value, key, rng)
        return {**value, key: _changed(value[key], rng)}
    if isinstance(value, list) and value:
        at = rng.randrange(len(value))
        if rng.random() < 0.2:
            return value[:at] + value[at + 1 :] if rng.random() < 0.5 else [*value, value[at]]
        return [*value[:at], _changed(value[at], rng), *value[at + 1 :]]
    return rng.choice(ODD)


def _dict_changed(value: dict[str, Any], key: str, rng: random.Random) -> dict[str, Any]:
    match rng.randint(0, 2):
        case 0:
            return {k: v for k, v in value.items() if k != key}
        case 1:
            return {**value, key: rng.choice(ODD)}
        case _:
            return {**value, key: value[rng.choice(list(value))]}
