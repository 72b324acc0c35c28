"""What the supervisor asks of a process over its address: is it ready, is it stuck."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable
from http import HTTPStatus
from http.client import HTTPConnection, HTTPException
from urllib.parse import urlsplit

from movers.local.broker.node import LocalKafka
from movers.local.ports import accepts


def answers(url: str) -> Callable[[], bool]:
    """A health check: whether the address answers with success."""
    return lambda: (answer := _get(url)) is not None and answer[0] == HTTPStatus.OK


def stuck(url: str) -> Callable[[], bool]:
    """Whether only a restart helps: nothing answers, or the process says of itself that its loop stands still."""

    def check() -> bool:
        answer = _get(url)
        if answer is None:
            return True
        with contextlib.suppress(ValueError, AttributeError):
            return bool(json.loads(answer[1]).get("state") == "stuck")
        return False

    return check


class KafkaReady:
    """The first time a consumer group and a transaction must work; afterwards an open port is enough."""

    def __init__(self, broker: LocalKafka, port: int) -> None:
        self._broker = broker
        self._port = port
        self._proved = False

    def __call__(self) -> bool:
        if self._proved:
            return accepts(self._port)
        try:
            self._broker.wait_ready(timeout_s=60)
        except TimeoutError:
            return False
        self._proved = True
        return True


def _get(url: str) -> tuple[int, bytes] | None:
    """Status and body, or None when nothing answers.

    Not through httpx: it makes a TLS context for each request, and these are asked every few seconds for ever.
    """
    parts = urlsplit(url)
    connection = HTTPConnection(parts.hostname or "", parts.port, timeout=5)
    try:
        connection.request("GET", parts.path or "/")
        answer = connection.getresponse()
        return answer.status, answer.read()
    except (OSError, HTTPException):
        return None
    finally:
        connection.close()
