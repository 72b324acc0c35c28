"""Kalshi in `bench feeds`: `ticker` of all markets on two connections that tell the same. Logins are not checked."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import lru_cache

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from bench.feeds.venue import Answer, goes_up
from kernel.clock import Clock
from producers.kalshi.frames import TICKER
from producers.kalshi.settings import ID_PREFIX
from producers.kalshi.sockets import ALL_MARKETS, KalshiSockets, Signer

CONNECTIONS = 2
"""As a collector has by default."""

_FIRST_TURN = 3


class Kalshi:
    """All markets are subscribed at once, and begin with a message of each; nothing comes on the other channels."""

    name, path, copies = "kalshi", "/trade-api/ws/v2", CONNECTIONS

    def token(self, number: int) -> str:
        """A ticker as long as many real ones."""
        return f"KXBENCHPRICE-26NOV3017-T{number:06d}.99"

    def market_id(self, number: int) -> str:
        """Ours of it."""
        return ID_PREFIX + self.token(number)

    def sockets(self, url: str, clock: Clock) -> KalshiSockets:
        """Ours, which sign each handshake: with a key made for the day."""
        pem = Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        return KalshiSockets(url, Signer("bench", pem), clock.now_us)

    def connections(self, markets: int) -> int:
        """The same for any number."""
        return CONNECTIONS

    def answer(self, text: str, markets: int, opened_ms: int) -> Answer:
        """To a subscription of a channel for all markets. sids count from 1, in the order of subscribing."""
        order = json.loads(text)
        [channel] = order["params"]["channels"]
        sid = ALL_MARKETS.index(channel) + 1
        answer = json.dumps({"id": order["id"], "type": "subscribed", "msg": {"channel": channel, "sid": sid}})
        if channel != TICKER:
            return Answer([answer])
        return Answer(self._opening(answer, markets, opened_ms), range(markets))

    def _opening(self, answer: str, markets: int, opened_ms: int) -> Iterator[str]:
        yield answer
        for number in range(markets):
            yield self.change(number, self.token(number), _FIRST_TURN, opened_ms)

    def change(self, number: int, token: str, turn: int, at_ms: int) -> str:
        """Its volume has grown; in each third turn its best bid is another."""
        bid, size = ("0.4100", "35.00") if goes_up(turn) else ("0.4000", "100.00")
        return (
            f'{{"type":"ticker","sid":1,"msg":{{"market_id":"5ca1ab1e-0000-4000-8000-{number:012x}",'
            f'"market_ticker":"{token}","price_dollars":"0.4000","yes_bid_dollars":"{bid}",'
            f'"yes_ask_dollars":"0.4200","yes_bid_size_fp":"{size}","yes_ask_size_fp":"120.00",'
            f'"last_trade_size_fp":"1.00","volume_fp":"{1_000 + turn}.00","open_interest_fp":"440.00",'
            f'"dollar_volume":{500 + turn // 2},"dollar_open_interest":220,{_stamps(at_ms)}}}}}'
        )


@lru_cache(maxsize=1)
def _stamps(at_ms: int) -> str:
    """The same for all that is sent at once."""
    time = datetime.fromtimestamp(at_ms / 1_000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return f'"ts":{at_ms // 1_000},"ts_ms":{at_ms},"time":"{time}"'
