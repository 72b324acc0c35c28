"""Answers that all readers share, and who asks the store for them."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from typing import Any

import pandas as pd
import pytest

from dashboard import data
from dashboard.store import Store, StoreUnavailableError
from kernel.settings import ClickHouseSettings

WINDOWS = ("1h",)


class OneCategory:
    """What a store answers that knows one category. Remembers who asked for it."""

    def __init__(self) -> None:
        self.asked_by: list[threading.Thread] = []

    def rows(self, query: str, columns: Mapping[str, str], **_parameters: Any) -> pd.DataFrame:
        """That category; nothing of what the board's memory wants to know."""
        if query != "categories":
            raise StoreUnavailableError("The store does not answer; trying again.")
        self.asked_by.append(threading.current_thread())
        one = {"window": ["1h"], "category": ["sports"]}
        return pd.DataFrame({name: pd.Series(one.get(name, [0]), dtype=dtype) for name, dtype in columns.items()})


@pytest.fixture
def known() -> OneCategory:
    return OneCategory()


@pytest.fixture
def store(known: OneCategory, monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    store = Store(ClickHouseSettings(clickhouse_host="nowhere.test"))
    monkeypatch.setattr(store, "rows", known.rows)
    yield store
    data.categories.clear()  # type: ignore[attr-defined]
    data._kept_categories.clear()
    data._followed.clear()


def test_categories_are_asked_for_ahead_of_their_readers(store: Store, known: OneCategory) -> None:
    first = data.categories(store, WINDOWS, 5.0, 0.0)
    data.categories.clear()  # type: ignore[attr-defined]
    second = data.categories(store, WINDOWS, 5.0, 0.0)

    assert [first["category"].tolist(), second["category"].tolist()] == [["sports"], ["sports"]]
    assert known.asked_by.count(threading.current_thread()) == 1


def test_other_limits_of_the_categories_are_another_question(store: Store, known: OneCategory) -> None:
    data.categories(store, WINDOWS, 5.0, 0.0)
    data.categories(store, WINDOWS, 5.0, 10_000.0)

    assert known.asked_by.count(threading.current_thread()) == 2
