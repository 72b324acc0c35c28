"""One side of a book, held against a dictionary."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from producers.books import Side

_PUTS = st.lists(st.tuples(st.integers(0, 12).map(lambda c: c * 10_000), st.sampled_from([0.0, 0.5, 3.0, 1e9])))


@given(_PUTS)
def test_a_side_is_what_a_dictionary_of_its_levels_is(puts: list[tuple[int, float]]) -> None:
    side = Side()
    model: dict[int, float] = {}
    for price, size in puts:
        side.put(price, size)
        model[price] = size
        model = {at: total for at, total in model.items() if total > 0}

        assert list(zip(side.prices, side.sizes, strict=True)) == sorted(model.items())
        assert (side.highest, side.lowest) == (max(model, default=None), min(model, default=None))
    for price in range(0, 130_000, 5_000):
        assert side.size_at(price) == model.get(price)
    assert side.size_at(None) is None


def test_a_level_that_never_was_can_be_removed_and_a_change_below_zero_empties_it() -> None:
    side = Side()
    side.put(500_000, 0.0)
    side.put(500_000, 7.0)
    side.put(400_000, -1.0)
    side.put(500_000, -2.0)

    assert (side.highest, side.lowest, side.size_at(500_000)) == (None, None, None)
