"""The verifier: it takes what the named key signed just now, and nothing else."""

from __future__ import annotations

import base64

import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519, padding, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from kernel.errors import UserError
from simulator.kalshi.login import Login

NOW_MS = 1_790_000_000_000
PATH = "/trade-api/ws/v2"
RSA = rsa.generate_private_key(65_537, 2_048)
ED25519 = ed25519.Ed25519PrivateKey.generate()


def sign(message: str, *, with_rsa: bool, salt: int = 32) -> str:
    if not with_rsa:
        return base64.b64encode(ED25519.sign(message.encode())).decode()
    raw = RSA.sign(message.encode(), padding.PSS(padding.MGF1(SHA256()), salt), SHA256())
    return base64.b64encode(raw).decode()


def headers(signature: str, stamp: int = NOW_MS, key: str = "k") -> dict[str, str]:
    return {"kalshi-access-key": key, "kalshi-access-timestamp": str(stamp), "kalshi-access-signature": signature}


@pytest.fixture(params=[True, False], ids=["rsa", "ed25519"])
def with_rsa(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


@pytest.fixture
def login(with_rsa: bool) -> Login:
    public = (RSA if with_rsa else ED25519).public_key()
    checked = Login()
    checked.register("k", public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode())
    return checked


def test_a_good_signature_is_admitted(login: Login, with_rsa: bool) -> None:
    assert login.admits(headers(sign(f"{NOW_MS}GET{PATH}", with_rsa=with_rsa)), PATH, NOW_MS)


def test_another_path_key_time_or_no_signature_is_not(login: Login, with_rsa: bool) -> None:
    good = sign(f"{NOW_MS}GET{PATH}", with_rsa=with_rsa)

    assert not login.admits(headers(good), "/trade-api/v2/markets", NOW_MS)
    assert not login.admits(headers(good, key="other"), PATH, NOW_MS)
    assert not login.admits(headers(good, stamp=NOW_MS + 1), PATH, NOW_MS)
    assert not login.admits(headers(good), PATH, NOW_MS + 120_000)
    assert not login.admits(headers("not base64!"), PATH, NOW_MS)
    assert not login.admits({}, PATH, NOW_MS)


def test_without_keys_any_three_headers_do_and_fewer_do_not() -> None:
    login = Login()

    assert login.admits(headers("s", stamp=1), PATH, NOW_MS)
    assert not login.admits({"kalshi-access-key": "k"}, PATH, NOW_MS)


def test_what_is_no_public_key_is_refused_in_one_line() -> None:
    with pytest.raises(UserError, match="not a public key"):
        Login().register("k", "nonsense")
