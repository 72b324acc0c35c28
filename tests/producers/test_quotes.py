"""The venue-neutral rule of what a quote is worth."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from producers.quotes import MAX_MID_SPREAD_PPM, quote
from schemas.units import PPM

ppm = st.none() | st.integers(-200_000, PPM + 200_000) | st.sampled_from([0, PPM, 1, PPM - 1])
size = st.none() | st.sampled_from([0.0, 0.01, 12.5])


@pytest.mark.parametrize(
    ("bid", "ask", "last", "price", "basis", "flags"),
    [
        (490_000, 510_000, 300_000, 500_000, "mid", ()),
        (500_000, 600_000, 300_000, 550_000, "mid", ()),
        (500_000, 600_001, 300_000, 300_000, "last", ("wide",)),
        (1_000, 999_000, None, None, "none", ("wide",)),
        (500_000, 500_000, None, 500_000, "mid", ()),
        (520_000, 510_000, 515_000, 515_000, "last", ("crossed",)),
        (0, 10_000, 0, None, "none", ("one_sided",)),
        (990_000, PPM, 990_000, 990_000, "last", ("one_sided",)),
        (0, PPM, 700_000, 700_000, "last", ("empty",)),
        (0, 0, 0, None, "none", ("empty",)),
        (None, None, None, None, "none", ("empty",)),
        (-1, 510_000, 500_000, 500_000, "last", ("out_of_range", "one_sided")),
        (490_000, 1_200_000, None, None, "none", ("out_of_range", "one_sided")),
        (490_000, 510_000, 1_500_000, 500_000, "mid", ("out_of_range",)),
    ],
)
def test_price_basis_and_flags_of_each_kind_of_book(
    bid: int | None, ask: int | None, last: int | None, price: int | None, basis: str, flags: tuple[str, ...]
) -> None:
    seen = quote(bid, ask, last)

    assert (seen.price_ppm, seen.price_basis, seen.flags) == (price, basis, flags)


def test_size_of_zero_is_an_empty_side() -> None:
    seen = quote(490_000, 510_000, None, bid_size_contracts=0.0, ask_size_contracts=3.0)

    assert (seen.bid_ppm, seen.ask_ppm, seen.bid_size_contracts, seen.ask_size_contracts) == (None, 510_000, None, 3.0)
    assert seen.flags == ("one_sided",)


def test_there_is_no_price_once_trading_is_over() -> None:
    seen = quote(690_000, 710_000, 700_000, tradable=False)

    assert (seen.bid_ppm, seen.ask_ppm, seen.last_ppm) == (None, None, 700_000)
    assert (seen.price_ppm, seen.price_basis, seen.flags) == (None, "none", ("empty",))


@given(bid=ppm, ask=ppm, last=ppm, bid_size=size, ask_size=size, tradable=st.booleans())
def test_a_price_is_never_invented(
    bid: int | None,
    ask: int | None,
    last: int | None,
    bid_size: float | None,
    ask_size: float | None,
    tradable: bool,
) -> None:
    seen = quote(bid, ask, last, bid_size_contracts=bid_size, ask_size_contracts=ask_size, tradable=tradable)

    assert seen.bid_ppm in (None, bid)
    assert seen.ask_ppm in (None, ask)
    assert seen.last_ppm in (None, last)
    assert seen.bid_ppm is None or 0 < seen.bid_ppm <= PPM
    assert seen.ask_ppm is None or 0 < seen.ask_ppm < PPM
    assert (seen.price_ppm is None) == (seen.price_basis == "none")
    if seen.price_basis == "mid":
        assert seen.bid_ppm is not None
        assert seen.ask_ppm is not None
        assert seen.price_ppm is not None
        assert seen.bid_ppm <= seen.price_ppm <= seen.ask_ppm
        assert seen.ask_ppm - seen.bid_ppm <= MAX_MID_SPREAD_PPM
        assert abs(2 * seen.price_ppm - seen.bid_ppm - seen.ask_ppm) <= 1
    elif seen.price_basis == "last":
        assert seen.price_ppm == last
        assert tradable


@given(bid=ppm, ask=ppm)
def test_each_book_has_one_description(bid: int | None, ask: int | None) -> None:
    seen = quote(bid, ask, None)

    shapes = {"empty", "one_sided", "crossed", "wide"}.intersection(seen.flags)
    assert len(shapes) == (0 if seen.price_basis == "mid" else 1)
    assert ("empty" in shapes) == (seen.bid_ppm is None and seen.ask_ppm is None)
    assert ("one_sided" in shapes) == ((seen.bid_ppm is None) != (seen.ask_ppm is None))
