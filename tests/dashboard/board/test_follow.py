"""When the store is read, and when the memory is not to be trusted: then the store is asked."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
import pytest

from dashboard.board.follow import Followed
from dashboard.board.lookout import Lookout
from dashboard.board.moves import Moves
from dashboard.columns import COLUMNS
from dashboard.store import Store, StoreUnavailableError
from kernel.settings import ClickHouseSettings
from tests.dashboard.board.conftest import Clock


class OneMove(Store):
    """A store with one part of moves, holding one, and none of markets. Remembers what it was asked."""

    def __init__(self) -> None:
        super().__init__(ClickHouseSettings())
        self.asked: list[str] = []
        self.is_away = False
        self.part, self.table_id, self.started_s, self.rows_told = "all_1_1_0", "A", 1_000, 1
        self.was_asked = threading.Event()

    def rows(self, query: str, columns: Any, **parameters: Any) -> pd.DataFrame:
        self._note(query)
        row = ("movers_latest", self.part, self.rows_told, self.table_id, self.started_s)
        return pd.DataFrame([row], columns=list(COLUMNS["board_parts"]))

    def blocks(self, query: str, **parameters: Any) -> Iterator[dict[str, Any]]:
        self._note(query)
        if query != "board_moves":
            return
        columns: dict[str, Any] = {name: np.array([1]) for name in COLUMNS["board_moves"]}
        texts = {"window": "5m", "token_id": "T1", "market_id": "M1", "venue": "kalshi"}
        yield columns | {name: np.array([text], object) for name, text in texts.items()}

    def _note(self, query: str) -> None:
        self.asked.append(query)
        self.was_asked.set()
        if self.is_away:
            raise StoreUnavailableError("The store does not answer; trying again.")


@pytest.fixture
def store() -> OneMove:
    return OneMove()


@pytest.fixture
def followed(store: OneMove, clock: Clock) -> Followed:
    """Looks only when told."""
    followed = Followed(store, most_rows=10, clock=clock)
    followed.close()
    return followed


def tokens(moves: Moves) -> int:
    return len(moves.tokens)


def test_nothing_is_read_before_somebody_asks(store: OneMove) -> None:
    followed = Followed(store)
    assert store.asked == []

    assert followed.answer(tokens) is None
    assert store.was_asked.wait(90)
    followed.close()


def test_who_asks_first_hears_the_store_itself_however_fast_it_answers(
    followed: Followed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Lookout, "asked", lambda _: followed.look())

    assert followed.answer(tokens) is None
    assert followed.answer(tokens) == 1


def test_what_was_looked_at_is_answered_from_memory(followed: Followed) -> None:
    assert followed.answer(tokens) is None

    followed.look()

    assert followed.answer(tokens) == 1


def test_a_part_is_read_once(followed: Followed, store: OneMove) -> None:
    followed.look()
    store.asked.clear()

    followed.look()
    assert store.asked == ["board_parts"]

    store.part = "all_1_2_1"
    followed.look()
    assert store.asked == ["board_parts", "board_parts", "board_moves"]


def test_a_store_that_is_away_is_asked_once_the_last_look_is_old(
    followed: Followed, store: OneMove, clock: Clock
) -> None:
    followed.look()
    store.is_away = True
    clock.now_s += 11

    with pytest.raises(StoreUnavailableError):
        followed.look()

    assert followed.answer(tokens) is None
    store.is_away = False
    followed.look()
    assert followed.answer(tokens) == 1


@pytest.mark.parametrize(
    "changed", [{"table_id": "B"}, {"started_s": 1_100}, {"part": "all_2_2_0"}, {"part": "all_1_1_0", "table_id": "C"}]
)
def test_another_table_a_server_that_started_again_and_rows_that_went_fill_the_memory_anew(
    followed: Followed, store: OneMove, changed: dict[str, Any]
) -> None:
    followed.look()
    before = followed.answer(lambda moves: moves)
    for name, value in changed.items():
        setattr(store, name, value)

    followed.look()

    after = followed.answer(lambda moves: moves)
    assert after is not None
    assert after is not before


def test_the_memory_is_filled_anew_each_hour_for_what_the_store_has_dropped(followed: Followed, clock: Clock) -> None:
    followed.look()
    before = followed.answer(lambda moves: moves)
    clock.now_s += 3_601

    followed.look()

    assert followed.answer(lambda moves: moves) is not before


def test_of_a_store_with_too_many_rows_nothing_is_held(followed: Followed, store: OneMove) -> None:
    store.rows_told = 11

    followed.look()

    assert followed.answer(tokens) is None
    assert store.asked == ["board_parts"]


def test_a_fill_that_fails_half_way_is_not_shown(followed: Followed, store: OneMove, clock: Clock) -> None:
    followed.look()
    store.table_id = "B"
    ask = store.blocks

    def fails(query: str, **parameters: Any) -> Iterator[dict[str, Any]]:
        yield from ask(query, **parameters)
        raise StoreUnavailableError("away")

    store.blocks = fails  # type: ignore[method-assign]
    with pytest.raises(StoreUnavailableError):
        followed.look()

    assert followed.answer(tokens) is None
