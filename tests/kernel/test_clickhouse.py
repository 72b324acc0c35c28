"""The store's client."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator

import pytest

from kernel.clickhouse import connect
from kernel.errors import StoreAwayError
from kernel.settings import ClickHouseSettings


@pytest.fixture
def hanging_up() -> Iterator[int]:
    """Port of a server that takes each connection and drops it, as one does that is being killed."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def drop() -> None:
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                with connection:
                    connection.recv(1)

        thread = threading.Thread(target=drop, daemon=True)
        thread.start()
        yield server.getsockname()[1]
        server.shutdown(socket.SHUT_RDWR)
        thread.join(60)


def test_of_a_store_that_hangs_up_only_who_asked_tells(hanging_up: int, caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(StoreAwayError):
        connect(ClickHouseSettings(clickhouse_port=hanging_up), client_name="test", role="read")

    assert [record.getMessage() for record in caplog.records if record.levelname != "DEBUG"] == []


def test_of_a_store_that_is_gone_only_who_asked_tells(caplog: pytest.LogCaptureFixture) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        gone = server.getsockname()[1]

    with pytest.raises(StoreAwayError):
        connect(ClickHouseSettings(clickhouse_port=gone), client_name="test", role="read")

    assert [record.getMessage() for record in caplog.records if record.levelname != "DEBUG"] == []
