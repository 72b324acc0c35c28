"""One side of an order book, small enough that a process holds a hundred thousand of them."""

from __future__ import annotations

from array import array
from bisect import bisect_left


class Side:
    """Price levels of a side in order of price: parts per million, and sizes as floats.

    Two flat arrays take about 12 bytes a level, a dict ten times that.
    """

    __slots__ = ("prices", "sizes")

    def __init__(self) -> None:
        self.prices = array("i")
        self.sizes = array("d")

    def put(self, price_ppm: int, size: float) -> None:
        """The total at a price is now `size`; 0 removes the level."""
        place = bisect_left(self.prices, price_ppm)
        known = place < len(self.prices) and self.prices[place] == price_ppm
        if size > 0:
            if known:
                self.sizes[place] = size
            else:
                self.prices.insert(place, price_ppm)
                self.sizes.insert(place, size)
        elif known:
            del self.prices[place], self.sizes[place]

    def size_at(self, price_ppm: int | None) -> float | None:
        """The total at a price; None where there is no such level."""
        if price_ppm is None:
            return None
        place = bisect_left(self.prices, price_ppm)
        return self.sizes[place] if place < len(self.prices) and self.prices[place] == price_ppm else None

    @property
    def highest(self) -> int | None:
        """The highest price; None when the side is empty."""
        return self.prices[-1] if self.prices else None

    @property
    def lowest(self) -> int | None:
        """The lowest price; None when the side is empty."""
        return self.prices[0] if self.prices else None
