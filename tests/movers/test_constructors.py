"""Constructors written out for the compiler do what the generated ones do."""

from __future__ import annotations

import sys
import typing
from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest

from movers.constructors import with_constructors

SOURCE = """
from schemas.frozen import dataclass

@dataclass(frozen=True, slots=True, kw_only=True)
class Quote:
    \"\"\"Bid and ask.\"\"\"

    bid: int | None = None
    sizes: tuple[float, ...]

    def has_bid(self) -> bool:
        return self.bid is not None
"""


@pytest.fixture
def quotes(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The module, made of the written out source."""
    made = ModuleType("quotes")
    monkeypatch.setitem(sys.modules, "quotes", made)
    _run(with_constructors(SOURCE), made.__dict__)
    return made


def _run(source: str, names: dict[str, Any]) -> None:
    """Interpreted, where nobody has defined what mypyc only reads."""

    def mypyc_attr(**words: Any) -> Callable[[Any], Any]:
        def told(made: Any) -> Any:
            made.__told__ = words
            return made

        return told

    names["mypyc_attr"] = mypyc_attr
    exec(source, names)  # noqa: S102  # our own text


def test_a_written_out_constructor_takes_fields_by_name_with_their_defaults(quotes: Any) -> None:
    assert quotes.Quote(sizes=(1.0,)).bid is None
    assert quotes.Quote(sizes=(1.0,), bid=3).has_bid()
    with pytest.raises(TypeError, match="sizes"):
        quotes.Quote(bid=3)
    with pytest.raises(TypeError, match="positional"):
        quotes.Quote(3, (1.0,))


def test_what_is_made_is_equal_and_hashed_by_its_fields_and_keeps_its_hints(quotes: Any) -> None:
    assert quotes.Quote(sizes=()) == quotes.Quote(sizes=(), bid=None)
    assert len({quotes.Quote(sizes=()), quotes.Quote(sizes=())}) == 1
    assert typing.get_type_hints(quotes.Quote) == {"bid": int | None, "sizes": tuple[float, ...]}


def test_mypyc_is_told_that_no_ring_of_dead_objects_passes_through_what_is_frozen(quotes: Any) -> None:
    changing: dict[str, Any] = {"__name__": __name__}
    _run(with_constructors(SOURCE.replace("frozen=True, ", "")), changing)

    assert quotes.Quote.__told__ == {"acyclic": True}
    assert not hasattr(changing["Quote"], "__told__")


def test_source_without_a_dataclass_keeps_its_comments() -> None:
    source = "x = 1  # type: ignore[assignment]\n"

    assert with_constructors(source) == source


def test_a_dataclass_that_may_be_made_by_position_takes_its_fields_in_their_order() -> None:
    made: dict[str, Any] = {"__name__": __name__}
    source = """
from schemas.frozen import dataclass

@dataclass(frozen=True, slots=True)
class Pair:
    x: int
    y: int = 2
"""

    _run(with_constructors(source), made)

    assert (made["Pair"](1), made["Pair"](1, y=3)) == (made["Pair"](x=1, y=2), made["Pair"](1, 3))
    with pytest.raises(TypeError, match="x"):
        made["Pair"]()
