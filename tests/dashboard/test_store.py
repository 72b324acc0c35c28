"""The pure parts of the store: how parameters travel, how an answer is typed, and what a refusal is called."""

from __future__ import annotations

import socket
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pandas as pd
import pytest
from clickhouse_connect.datatypes.base import ClickHouseType
from clickhouse_connect.datatypes.registry import get_from_name
from clickhouse_connect.driver.exceptions import ClickHouseError, DatabaseError, OperationalError

from dashboard import store as store_module
from dashboard.columns import COLUMNS
from dashboard.store import Store, StoreUnavailableError, query_text
from kernel.errors import TransientError, UserError
from kernel.settings import ClickHouseSettings
from schemas.units import micros_from_datetime

MOMENT = datetime(2026, 11, 23, 18, 42, 30, 123456, tzinfo=UTC)


@dataclass
class Answer:
    """What the client library gives back."""

    column_names: Sequence[str]
    column_types: Sequence[ClickHouseType]
    result_columns: Sequence[Sequence[Any]]

    @property
    def result_rows(self) -> Sequence[Sequence[Any]]:
        """The same by rows."""
        return list(zip(*self.result_columns, strict=True))


NOTHING = Answer([], [], [])


@dataclass
class Client:
    """Answers one thing, or fails with one, and remembers what it was asked."""

    answer: Answer | Exception
    tables: int = 0
    asked: list[dict[str, Any]] = field(default_factory=list)
    closed: bool = False

    def query(self, text: str, parameters: dict[str, Any] | None = None, **_: Any) -> Answer:
        if "system.tables" in text:
            return Answer(["count()"], [get_from_name("UInt64")], [[self.tables]])
        self.asked.append(parameters or {})
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer

    def close(self) -> None:
        self.closed = True


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[Client]:
    """The clients that a store opens, one after the other; a test puts them there before."""
    waiting: list[Client] = []
    monkeypatch.setattr(store_module, "connect", lambda *_, **__: waiting.pop(0))
    return waiting


SPAN = COLUMNS["cache_span"]


def store() -> Store:
    return Store(ClickHouseSettings(clickhouse_host="db", clickhouse_port=8123, clickhouse_database="movers"))


def test_an_answer_is_typed_and_an_empty_one_has_the_same_types(opened: list[Client]) -> None:
    exact, whole = get_from_name("DateTime64(6, 'UTC')"), get_from_name("Nullable(DateTime)")
    full = Client(Answer(list(SPAN), [exact, whole], [[micros_from_datetime(MOMENT)] * 2, [1_795_459_350, None]]))
    opened += [full]
    reads = store()

    frame = reads.rows("cache_span", SPAN)
    full.answer = NOTHING
    nothing = reads.rows("cache_span", SPAN)

    assert dict(frame.dtypes.astype(str)) == dict(nothing.dtypes.astype(str)) == dict(SPAN)
    assert list(frame["first_ts"]) == [pd.Timestamp(MOMENT)] * 2
    assert list(frame["last_ts"]) == [pd.Timestamp(MOMENT.replace(microsecond=0)), pd.NaT]
    assert len(nothing) == 0


@pytest.mark.parametrize("names", [["last_ts", "first_ts"], ["first_ts"], ["first_ts", "last_ts", "more"]])
def test_an_answer_of_other_columns_is_refused_and_not_shown_under_wrong_names(
    opened: list[Client], names: list[str]
) -> None:
    opened += [Client(Answer(names, [get_from_name("DateTime")] * len(names), [[1_795_459_350]] * len(names)))]

    with pytest.raises(ValueError, match="expected"):
        store().rows("cache_span", SPAN)


def test_instants_travel_as_utc_text_wherever_they_were_made(opened: list[Client]) -> None:
    client = Client(NOTHING)
    opened += [client]

    store().rows("cache_span", SPAN, at=MOMENT.astimezone(timezone(timedelta(hours=9))), window="1h", limit=3)

    assert client.asked == [{"at": "2026-11-23 18:42:30.123456", "window": "1h", "limit": 3}]


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (DatabaseError("Code: 60. UNKNOWN_TABLE", code=60), "no tables yet"),
        (DatabaseError("Code: 46. UNKNOWN_FUNCTION", code=46), "no tables yet"),
        (DatabaseError("Code: 81. UNKNOWN_DATABASE", code=81), "no tables yet"),
        (DatabaseError("Code: 241. MEMORY_LIMIT", code=241), "could not answer this question"),
        (OperationalError("Max retries exceeded"), "does not answer"),
        (OperationalError("Code: 159. TIMEOUT_EXCEEDED", code=159), "could not answer this question"),
        (ClickHouseError("broken"), "does not answer"),
        (OSError("reset"), "does not answer"),
        (TransientError("away"), "does not answer yet"),
        (UserError("wrong password"), "refuses us: wrong password"),
    ],
    ids=lambda value: value if isinstance(value, str) else type(value).__name__,
)
def test_a_failure_is_one_calm_line_and_its_client_is_not_used_again(
    opened: list[Client], error: Exception, said: str
) -> None:
    broken, fresh = Client(error), Client(NOTHING)
    opened += [broken, fresh]
    reads = store()

    with pytest.raises(StoreUnavailableError, match=said) as caught:
        reads.rows("cache_span", SPAN)
    reads.rows("cache_span", SPAN)

    assert "\n" not in str(caught.value)
    assert (len(broken.asked), len(fresh.asked)) == (1, 1)


@pytest.mark.parametrize("code", [16, 46, 47, 60])
def test_a_store_that_lacks_a_name_of_ours_beside_its_tables_is_said_to_be_of_another_version(
    opened: list[Client], code: int
) -> None:
    opened += [Client(DatabaseError("Code", code=code), tables=20)]

    with pytest.raises(StoreUnavailableError, match=r"of another version than this dashboard: run `movers migrate`"):
        store().rows("cache_span", SPAN)


def test_a_store_that_takes_the_question_and_never_answers_is_told_of_and_others_need_not_wait() -> None:
    with socket.create_server(("127.0.0.1", 0)) as mute:
        now_s = iter([0.0, 10.0, 14.9, 15.1, 25.0])
        reads = Store(ClickHouseSettings(clickhouse_port=mute.getsockname()[1]), silence_s=1, clock=lambda: next(now_s))

        with pytest.raises(StoreUnavailableError, match="does not answer"):
            reads.rows("cache_span", SPAN)
        mute.settimeout(0)
        asked = _taken(mute)
        with pytest.raises(StoreUnavailableError, match="does not answer"):
            reads.rows("cache_span", SPAN)
        asked_meanwhile = _taken(mute)
        with pytest.raises(StoreUnavailableError, match="does not answer"):
            reads.rows("cache_span", SPAN)

        assert asked > 0
        assert asked_meanwhile == 0
        assert _taken(mute) > 0


def _taken(server: socket.socket) -> int:
    """How many have come to it since it was asked last."""
    count = 0
    while True:
        try:
            server.accept()[0].close()
        except BlockingIOError:
            return count
        count += 1


def test_a_client_that_answered_is_used_again(opened: list[Client]) -> None:
    client = Client(NOTHING)
    opened += [client]
    reads = store()

    for _ in range(3):
        reads.rows("cache_span", SPAN)

    assert (len(client.asked), client.closed) == (3, False)


def test_two_stores_share_cached_answers_only_when_they_are_the_same_database() -> None:
    other = Store(ClickHouseSettings(clickhouse_host="db", clickhouse_port=8123, clickhouse_database="other"))

    assert store().address == store().address == "db:8123/movers"
    assert other.address != store().address


@pytest.mark.parametrize("query", COLUMNS)
def test_every_query_that_has_columns_has_a_text_of_sql_alone(query: str) -> None:
    text = query_text(query)

    assert "SELECT" in text
    assert "--" not in text
    assert ";" not in text
