from __future__ import annotations

import pytest

from schemas.times import MAX_AHEAD_US, is_ahead

RECEIVED_US = 1_795_262_400_000_000


@pytest.mark.parametrize(
    ("ahead_us", "expected"),
    [(-86_400_000_000, False), (0, False), (MAX_AHEAD_US, False), (MAX_AHEAD_US + 1, True), (86_400_000_000, True)],
)
def test_an_event_may_be_stamped_a_minute_ahead_of_its_receipt_and_no_more(ahead_us: int, expected: bool) -> None:
    assert is_ahead(RECEIVED_US + ahead_us, RECEIVED_US) is expected
