"""A foreign page that makes a browser send here is told from a program of this machine."""

from __future__ import annotations

import pytest

from movers.local.same_site import is_from_here


@pytest.mark.parametrize(
    ("host", "origin"),
    [
        ("127.0.0.1:8123", None),
        ("localhost:8081", None),
        ("LOCALHOST", None),
        ("[::1]:8081", None),
        ("127.0.0.1:8501", "http://localhost:8501"),
        ("localhost:8501", "http://127.0.0.1:9999"),
        ("[::1]:1", "http://[::1]:2"),
    ],
)
def test_this_machine_is_let_in(host: str, origin: str | None) -> None:
    assert is_from_here(host, origin)


@pytest.mark.parametrize(
    ("host", "origin"),
    [
        ("evil.example", None),  # a name that was made to lead here (DNS rebinding)
        ("127.0.0.1.evil.example:8123", None),
        ("localhost.evil.example", None),
        ("evil.example#127.0.0.1", None),
        ("evil.example?@127.0.0.1", None),
        ("127.0.0.1:1", "http://evil.example"),
        ("127.0.0.1:1", "http://evil.example/127.0.0.1"),
        ("127.0.0.1:1", "http://127.0.0.1@evil.example"),
        ("127.0.0.1:1", "null"),  # a sandboxed frame, a file, a redirect from elsewhere
        ("127.0.0.1:1", ""),
        ("127.0.0.1:1", "http://[half"),
        ("[half", None),
        ("", None),
    ],
)
def test_all_else_is_not(host: str, origin: str | None) -> None:
    assert not is_from_here(host, origin)
