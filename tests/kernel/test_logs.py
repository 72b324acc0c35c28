"""Logs where nobody sits at a terminal: one JSON object a line, ours and the libraries' alike."""

from __future__ import annotations

import io
import json
import logging
import sys
import threading
import warnings
from typing import Any

import pytest

from kernel.logs import configure, get_logger


class OwnThread(io.StringIO):
    """What the thread that made it writes. A client of an earlier test may still have something to say in another."""

    def __init__(self) -> None:
        super().__init__()
        self._owner = threading.get_ident()

    def write(self, text: str) -> int:
        return super().write(text) if threading.get_ident() == self._owner else len(text)


def listen(monkeypatch: pytest.MonkeyPatch) -> io.StringIO:
    """To stderr from now on; not as a fixture, since pytest sets stderr anew when the test begins."""
    written = OwnThread()
    monkeypatch.setattr(sys, "stderr", written)
    return written


def lines(stderr: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stderr.getvalue().splitlines()]


def test_an_event_is_one_line_with_its_keys_its_process_and_an_instant_in_utc(monkeypatch: pytest.MonkeyPatch) -> None:
    stderr = listen(monkeypatch)
    configure(process="sink")

    get_logger("x").warning("disk_low", free_mib=3, title="two\nlines")

    (line,) = lines(stderr)
    assert (line["event"], line["free_mib"], line["title"]) == ("disk_low", 3, "two\nlines")
    assert (line["process"], line["level"]) == ("sink", "warning")
    assert line["timestamp"].endswith("Z")


def test_a_librarys_warning_is_an_event_and_what_it_tells_its_developers_is_none_of_the_operators(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stderr = listen(monkeypatch)
    with warnings.catch_warnings():  # pytest's own place for them
        warnings.simplefilter("always")
        logging.captureWarnings(False)
        configure(process="sink")

        warnings.warn("the disk is odd", RuntimeWarning, stacklevel=1)
        warnings.warn("use another module", DeprecationWarning, stacklevel=1)

        logging.captureWarnings(False)

    assert [line["level"] for line in lines(stderr)] == ["warning", "info"]
    assert "use another module" in lines(stderr)[1]["event"]


def test_a_library_writes_the_same_kind_of_line(monkeypatch: pytest.MonkeyPatch) -> None:
    stderr = listen(monkeypatch)
    configure(process="sink")

    logging.getLogger("some.library").error("gone: %s", "peer")

    (line,) = lines(stderr)
    assert (line["event"], line["level"], line["process"]) == ("gone: peer", "error", "sink")


def test_a_library_that_set_up_its_own_output_before_writes_the_same_kind_of_line(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As uvicorn and Streamlit do when they are started or imported."""
    stderr = listen(monkeypatch)
    library = logging.getLogger("some.server")
    library.addHandler(logging.StreamHandler(stderr))
    library.propagate = False

    configure(process="sink")
    library.error("gone")

    (line,) = lines(stderr)
    assert line["event"] == "gone"


def test_the_output_of_a_command_is_never_mixed_with_its_logs(capsys: pytest.CaptureFixture[str]) -> None:
    configure()

    get_logger("x").error("trouble")

    assert capsys.readouterr().out == ""


def test_a_traceback_stays_inside_its_line(monkeypatch: pytest.MonkeyPatch) -> None:
    stderr = listen(monkeypatch)
    configure()

    try:
        raise ValueError("no price")
    except ValueError:
        get_logger("x").exception("refused")

    (line,) = lines(stderr)
    assert "ValueError: no price" in line["exception"]


@pytest.mark.parametrize(("level", "events"), [("debug", "dwe"), ("info", "we"), ("warning", "we"), ("error", "e")])
def test_what_is_less_than_the_level_is_not_written_whoever_says_it(
    monkeypatch: pytest.MonkeyPatch, level: str, events: str
) -> None:
    stderr = listen(monkeypatch)
    configure(level)
    library = logging.getLogger("some.library")
    library.setLevel(logging.DEBUG)  # some libraries do so by themselves

    for log in (get_logger("x"), library):
        log.debug("d")
        log.warning("w")
        log.error("e")

    library.setLevel(logging.NOTSET)
    assert [line["event"] for line in lines(stderr)] == [*events, *events]


def test_libraries_that_tell_each_request_are_heard_only_in_trouble(monkeypatch: pytest.MonkeyPatch) -> None:
    stderr = listen(monkeypatch)
    configure("debug")

    for name in ("httpx", "uvicorn.access"):
        logging.getLogger(name).info("GET /markets 200")
        logging.getLogger(name).warning("trouble")

    assert [line["event"] for line in lines(stderr)] == ["trouble", "trouble"]


def test_being_set_up_again_does_not_write_each_line_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    stderr = listen(monkeypatch)
    configure()
    configure("info", process="later")

    get_logger("x").info("once")

    assert [line["process"] for line in lines(stderr)] == ["later"]
