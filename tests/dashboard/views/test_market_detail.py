"""What the page of a market says in words."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from dashboard.views.market_detail import about_the_price
from dashboard.zone import Zone

NOW = datetime(2026, 12, 1, 12, 0, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("basis", "settling", "more"),
    [
        ("mid", False, ""),
        ("last", False, " It is the last trade's, which may be older"),
        ("mid", True, " :material/flag: The price runs to its end"),
    ],
)
def test_a_price_that_is_no_middle_of_a_quote_says_what_it_is(basis: str, settling: bool, more: str) -> None:
    said = about_the_price({"ts": NOW - timedelta(seconds=12), "price_basis": basis}, settling, NOW, Zone(-300))

    begin = "Price of 07:00:00 UTC−5, 12 s ago."
    assert said.startswith(begin + more)
    assert (said == begin) is (more == "")
