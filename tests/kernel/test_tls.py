from __future__ import annotations

import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest

from kernel.tls import certificate_refusal, certificate_trouble
from tests.stack.certificates import Authority
from tests.stack.ports import free_port
from tests.stack.tls_front import TlsFront


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path, "ours")


@pytest.fixture
def front(authority: Authority) -> Iterator[TlsFront]:
    with TlsFront(free_port(), authority.issue("server"), ("user", "password")) as front:
        yield front


def test_a_server_whose_certificate_we_trust_is_no_trouble(front: TlsFront, authority: Authority) -> None:
    assert certificate_trouble(f"127.0.0.1:{front.port}", authority.ca_file) == ""


def test_a_certificate_of_another_authority_is_named(front: TlsFront, tmp_path: Path) -> None:
    other = Authority(tmp_path, "another")

    assert "unable to get local issuer certificate" in certificate_trouble(f"127.0.0.1:{front.port}", other.ca_file)


def test_a_certificate_out_of_date_is_named(authority: Authority) -> None:
    with TlsFront(free_port(), authority.issue("old", expired=True), ("user", "password")) as front:
        assert certificate_trouble(f"127.0.0.1:{front.port}", authority.ca_file) == "certificate has expired"


@pytest.mark.parametrize("address", ["127.0.0.1:{port}", "no port", "127.0.0.1:", "[::1]:{port}"])
def test_who_does_not_answer_is_not_a_matter_of_certificates(address: str, authority: Authority) -> None:
    assert certificate_trouble(address.format(port=free_port()), authority.ca_file) == ""


def _raised(outer: Exception, cause: Exception | None = None) -> Exception:
    outer.__cause__ = cause
    return outer


@pytest.mark.parametrize(
    "wrapped",
    [
        lambda refusal: refusal,
        lambda refusal: RuntimeError(refusal),
        lambda refusal: RuntimeError("words", ConnectionError("more", refusal)),
        lambda refusal: _raised(ConnectionError("words"), _raised(OSError("more"), refusal)),
    ],
)
def test_a_refusal_is_found_in_whatever_a_library_wraps_it(wrapped: object) -> None:
    assert callable(wrapped)
    refusal = ssl.SSLError(1, "words")
    refusal.reason = "WRONG_VERSION_NUMBER"

    assert certificate_refusal(wrapped(refusal)) == "WRONG_VERSION_NUMBER"


def test_errors_without_tls_in_them_and_those_that_name_each_other_end_in_no_words() -> None:
    first, second = RuntimeError("a"), RuntimeError("b")
    first.__cause__, second.__cause__ = second, first

    assert certificate_refusal(first) == ""
    assert certificate_refusal(ValueError("plain")) == ""
