"""How Polymarket's sockets are spoken to: address, subscriptions, keepalive. What they say: `frames.py`."""

from __future__ import annotations

import math
import random
from collections.abc import Mapping, Sequence
from typing import Final

import orjson

from producers.polymarket.frames import POLYBOLT_CHANNEL, PolyBoltFrames, PolymarketFrames
from producers.polymarket.settings import ID_PREFIX

TOKENS_A_SOCKET: Final = 400
"""The real limit is unpublished; reports say 500 to 750, and that above it there is no error but silence."""

TOKENS_A_MESSAGE: Final = 200
"""A token id has 77 digits: so many make a frame of 16 kB."""


POLYBOLT_TOKENS: Final = 64
"""The 65th subscription ends the connection with 4008."""

_DRAINING, _POLICY = 4003, 4008
_DRAINING_WITHIN_S: Final = 10.0


class PolymarketSpeech:
    """How frames are understood: one token of each market (outcome 0; the other is its mirror)."""

    mirrored = False

    def reader(self) -> PolymarketFrames:
        """For one life of one connection."""
        return PolymarketFrames()

    def token_of(self, token_id: str) -> str:
        """The venue's name of a token of ours."""
        return token_id.removeprefix(ID_PREFIX)

    def token_id(self, token: str) -> str:
        """Our name of the venue's token."""
        return ID_PREFIX + token


class PolymarketSockets(PolymarketSpeech):
    """The tokens are spread over the connections."""

    capacity = TOKENS_A_SOCKET
    ping: str | None = "PING"
    ping_every_s = 10.0

    def __init__(self, url: str) -> None:
        self.url = url

    def headers(self) -> Mapping[str, str]:
        """None: the channel is public."""
        return {}

    def is_control(self, body: bytes) -> bool:
        """Whether a message is no data: the answer to PING is text, no JSON."""
        return body == b"PONG"

    def opening(self, tokens: Sequence[str]) -> list[str]:
        """The first messages of a connection. Announcements and results come only when asked for."""
        first = {"assets_ids": list(tokens[:TOKENS_A_MESSAGE]), "type": "market", "custom_feature_enabled": True}
        return [orjson.dumps(first).decode(), *self.subscribe(tokens[TOKENS_A_MESSAGE:])]

    def subscribe(self, tokens: Sequence[str]) -> list[str]:
        """More tokens, or the same ones anew: each gets an opening book."""
        return self._operations("subscribe", tokens)

    def unsubscribe(self, tokens: Sequence[str], subscription: int = 0) -> list[str]:
        """Fewer tokens. Subscriptions have no numbers here."""
        return self._operations("unsubscribe", tokens)

    def renew(self, tokens: Sequence[str], subscription: int = 0) -> list[str]:
        """The same tokens from the start: left, then subscribed again."""
        return [*self.unsubscribe(tokens), *self.subscribe(tokens)]

    def _operations(self, operation: str, tokens: Sequence[str]) -> list[str]:
        return [
            orjson.dumps(
                {
                    "operation": operation,
                    "assets_ids": list(tokens[start : start + TOKENS_A_MESSAGE]),
                    "custom_feature_enabled": True,
                }
            ).decode()
            for start in range(0, len(tokens), TOKENS_A_MESSAGE)
        ]


class PolyBolt:
    """How PolyBolt, the second socket, is spoken to: the best prices of single tokens, public, by another way.

    Facts: the venue's AsyncAPI "Live Data Channel", channel `price.polymarket`, read on 2026-11-29. At 64 subscriptions
    a connection it is no main feed, and no client of the venue's own uses it, so it may vanish. An order of any size
    counts once against twenty a second.
    """

    capacity = POLYBOLT_TOKENS

    def __init__(self, url: str) -> None:
        self.url = url

    def reader(self) -> PolyBoltFrames:
        """For one life of one connection."""
        return PolyBoltFrames()

    def subscribe(self, tokens: Sequence[str]) -> str:
        """More tokens, each answered by a snapshot."""
        return _order("subscribe", tokens)

    def unsubscribe(self, tokens: Sequence[str]) -> str:
        """Fewer."""
        return _order("unsubscribe", tokens)

    def rest_s(self, close_code: int | None) -> float:
        """How long to stay away after a connection's end: a server that is taken down spreads its clients over ten
        seconds; one that we offended is not asked again."""
        if close_code == _POLICY:
            return math.inf
        return random.uniform(0.0, _DRAINING_WITHIN_S) if close_code == _DRAINING else 0.0


def _order(op: str, tokens: Sequence[str]) -> str:
    wanted = [{"channel": POLYBOLT_CHANNEL, "filter": {"asset_id": token}} for token in tokens]
    return orjson.dumps({"op": op, "subscriptions": wanted}).decode()
