"""How Kalshi's WebSocket is spoken to: address, signed handshake, subscriptions. What it says: `frames.py`.

Every handshake is signed, also for public channels. The signature is over the time in milliseconds, the method and the
path; RSA keys sign by PSS with SHA-256 and a salt as long as the digest, Ed25519 keys plainly.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import orjson
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from kernel.errors import UserError
from producers.kalshi.frames import BOOK, TICKER, KalshiFrames
from producers.kalshi.settings import ID_PREFIX

ALL_MARKETS: Final = (TICKER, "trade", "market_lifecycle_v2")
"""Channels that are subscribed for all markets at once."""

TICKERS_A_MESSAGE: Final = 100
_SIGNED_PATH: Final = "/trade-api/ws/v2"


class Signer:
    """Signs handshakes with the key of an account. The key never leaves it, and is in no message of ours.

    Args:
        key_id: names the key at Kalshi.
        pem: the private key, PEM without a password.

    Raises:
        UserError: not such a key.
    """

    def __init__(self, key_id: str, pem: bytes) -> None:
        try:
            key = load_pem_private_key(pem, password=None)
        except (ValueError, TypeError, UnsupportedAlgorithm) as error:
            raise UserError("KALSHI_PRIVATE_KEY_FILE holds no private key in PEM without a password") from error
        if not isinstance(key, RSAPrivateKey | Ed25519PrivateKey):
            raise UserError("KALSHI_PRIVATE_KEY_FILE holds neither an RSA nor an Ed25519 key")
        self._key, self._key_id = key, key_id

    def headers(self, path: str, now_ms: int) -> dict[str, str]:
        """The three login headers of a GET, good for a short while."""
        message = f"{now_ms}GET{path}".encode()
        if isinstance(self._key, Ed25519PrivateKey):
            signature = self._key.sign(message)
        else:
            pss = padding.PSS(mgf=padding.MGF1(SHA256()), salt_length=padding.PSS.DIGEST_LENGTH)
            signature = self._key.sign(message, pss, SHA256())
        return {
            "KALSHI-ACCESS-KEY": self._key_id,
            "KALSHI-ACCESS-TIMESTAMP": str(now_ms),
            "KALSHI-ACCESS-SIGNATURE": base64.b64encode(signature).decode(),
        }


def signer(key_id: str, file: Path | None) -> Signer | None:
    """The signer that the settings name; None when they name none.

    Raises:
        UserError: only one of both is set, or the file cannot be read.
    """
    if not key_id and file is None:
        return None
    if not key_id or file is None:
        raise UserError("KALSHI_API_KEY and KALSHI_PRIVATE_KEY_FILE belong together: set both, or none")
    try:
        return Signer(key_id, file.read_bytes())
    except OSError as error:
        raise UserError(f"KALSHI_PRIVATE_KEY_FILE {file}: {error.strerror or error}") from error


class KalshiSpeech:
    """How frames are understood. Connections tell the same, and are merged."""

    mirrored = True

    def reader(self) -> KalshiFrames:
        """For one life of one connection."""
        return KalshiFrames()

    def token_of(self, token_id: str) -> str:
        """The ticker of a token of ours."""
        return token_id.removeprefix(ID_PREFIX).removesuffix(":YES")

    def token_id(self, token: str) -> str:
        """Our name of a market's outcome YES."""
        return f"{ID_PREFIX}{token}:YES"


class KalshiSockets(KalshiSpeech):
    """All markets on each connection; order books of the hottest."""

    capacity = 100_000
    ping: str | None = None  # the venue pings, and the library answers
    ping_every_s = 10.0

    def __init__(self, url: str, signer: Signer, now_us: Callable[[], int]) -> None:
        self.url = url
        self._signer, self._now_us = signer, now_us
        self._commands = 0
        self._path = urlsplit(url).path
        if self._path.endswith(_SIGNED_PATH):
            self._path = _SIGNED_PATH  # a simulator has it under a prefix, the venue has it bare

    def headers(self) -> Mapping[str, str]:
        """Signed anew for each handshake."""
        return self._signer.headers(self._path, self._now_us() // 1_000)

    def is_control(self, body: bytes) -> bool:
        """Whether a message is no data: pings are frames of their own here."""
        return False

    def opening(self, tokens: Sequence[str]) -> list[str]:
        """The first messages of a connection: the state of all markets comes first."""
        broad = [
            self._command("subscribe", {"channels": [name], "send_initial_snapshot": True}) for name in ALL_MARKETS
        ]
        return [*broad, *self.subscribe(tokens)]

    def subscribe(self, tokens: Sequence[str]) -> list[str]:
        """Order books of more markets. The flag's default is announced to change, so it is always said."""
        return [
            self._command("subscribe", {"channels": [BOOK], "market_tickers": list(batch), "use_yes_price": False})
            for batch in _batches(tokens)
        ]

    def unsubscribe(self, tokens: Sequence[str], subscription: int) -> list[str]:
        """Order books of fewer markets."""
        return [self._update("delete_markets", batch, subscription) for batch in _batches(tokens)]

    def renew(self, tokens: Sequence[str], subscription: int) -> list[str]:
        """The same order books from the start."""
        return [self._update("get_snapshot", batch, subscription) for batch in _batches(tokens)]

    def _update(self, action: str, tickers: Sequence[str], subscription: int) -> str:
        # Not told yet, it is the next of `opening`: sids count from 1 on each connection.
        sid = subscription or len(ALL_MARKETS) + 1
        return self._command("update_subscription", {"sids": [sid], "action": action, "market_tickers": list(tickers)})

    def _command(self, word: str, params: dict[str, Any]) -> str:
        self._commands += 1
        return orjson.dumps({"id": self._commands, "cmd": word, "params": params}).decode()


def _batches(tickers: Sequence[str]) -> list[Sequence[str]]:
    return [tickers[start : start + TICKERS_A_MESSAGE] for start in range(0, len(tickers), TICKERS_A_MESSAGE)]
