"""The identity of a log, as it is told from the broker's."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from processors.log_watch import _short


@dataclass
class BrokersId:
    """A topic's id as the client gives it: two signed halves."""

    high: int
    low: int = 0

    def get_most_significant_bits(self) -> int:
        return self.high


_HALVES = st.integers(-(1 << 63), (1 << 63) - 1)


@given(_HALVES.filter(bool))
def test_an_identity_has_eight_hex_digits_whatever_the_sign_of_its_half(high: int) -> None:
    identity = _short(BrokersId(high))

    assert len(identity) == 8
    assert int(identity, 16) == (high >> 32) & 0xFFFF_FFFF


@pytest.mark.parametrize(
    ("high", "identity"),
    [(0, ""), (1, "00000000"), (-1, "ffffffff"), (-(1 << 63), "80000000"), (0xABC << 32, "00000abc")],
)
def test_no_identity_is_told_from_one_that_begins_with_zeros(high: int, identity: str) -> None:
    assert _short(BrokersId(high)) == identity
