"""Checks Kalshi's login headers as Kalshi does: RSA-PSS or Ed25519 over timestamp, method and path."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from kernel.errors import UserError

KEY, TIMESTAMP, SIGNATURE = "kalshi-access-key", "kalshi-access-timestamp", "kalshi-access-signature"
MAX_AGE_MS: Final = 60_000
"""Older or younger stamps are refused. Kalshi states no figure; this one is ours."""


class Login:
    """The keys that may log in. With none registered, any three non-empty headers do."""

    def __init__(self) -> None:
        self._keys: dict[str, RSAPublicKey | Ed25519PublicKey] = {}

    def register(self, key_id: str, public_pem: str) -> None:
        """From now on signatures are checked, and this key's are good.

        Raises:
            UserError: not an RSA or Ed25519 public key.
        """
        try:
            key = load_pem_public_key(public_pem.encode())
        except ValueError as error:
            raise UserError(f"not a public key: {error}") from error
        if not isinstance(key, RSAPublicKey | Ed25519PublicKey):
            raise UserError(f"not an RSA or Ed25519 key: {type(key).__name__}")
        self._keys[key_id] = key

    def admits(self, headers: Mapping[str, str], path: str, now_ms: int) -> bool:
        """Whether a GET of this path is signed by a key we know, just now."""
        given = [headers.get(name, "") for name in (KEY, TIMESTAMP, SIGNATURE)]
        if not all(given) or not self._keys:
            return all(given)
        key_id, stamp, signature = given
        key = self._keys.get(key_id)
        if key is None or not stamp.isdigit() or abs(now_ms - int(stamp)) > MAX_AGE_MS:
            return False
        return _signed(key, signature, f"{stamp}GET{path}".encode())


def _signed(key: RSAPublicKey | Ed25519PublicKey, signature: str, message: bytes) -> bool:
    try:
        raw = base64.b64decode(signature, validate=True)
        if isinstance(key, Ed25519PublicKey):
            key.verify(raw, message)
        else:
            pss = padding.PSS(mgf=padding.MGF1(SHA256()), salt_length=padding.PSS.DIGEST_LENGTH)
            key.verify(raw, message, pss, SHA256())
    except (InvalidSignature, binascii.Error):
        return False
    return True
