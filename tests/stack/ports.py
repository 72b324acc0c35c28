"""Ports that a test gives to processes which listen on them later, or again, and which nobody takes meanwhile."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from itertools import chain

from movers.local.ports import LOOPBACK

_RANGE = range(20_000, 32_000)
"""Below the ports that a system gives to who asks for any: no connection and no service stands there by chance."""

_claims: list[socket.socket] = []


def free_port() -> int:
    """A TCP port that nobody listens on, and that no other process of tests on this machine is given while this one
    lives: the UDP port of the same number is held until then."""
    for port in _ports:
        claim = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        try:
            claim.bind((LOOPBACK, port))
            with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
                probe.bind((LOOPBACK, port))
        except OSError:
            claim.close()
            continue
        _claims.append(claim)
        return port
    raise AssertionError(f"all ports from {_RANGE.start} to {_RANGE.stop} are given away")


def _from_a_place_of_its_own() -> Iterator[int]:
    """All of them, from another one on in each process."""
    begin = os.getpid() * 97 % len(_RANGE)
    return chain(_RANGE[begin:], _RANGE[:begin])


_ports = _from_a_place_of_its_own()
