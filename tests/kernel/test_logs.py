"""Logs where nobody sits at a terminal: one JSON object a line, ours and the libraries' alike."""

from __future__ import annotations

import json
import logging
from typing import Any

import pytest

from kernel.logs import configure, get_logger

Capture = pytest.CaptureFixture[str]


def lines(capsys: Capture) -> list[dict[str, Any]]:
    return [json.loads(line) for line in capsys.readouterr().err.splitlines()]


def test_an_event_is_one_line_with_its_keys_its_process_and_an_instant_in_utc(capsys: Capture) -> None:
    configure(process="sink")

    get_logger("x").warning("disk_low", free_mib=3, title="two\nlines")

    (line,) = lines(capsys)
    assert (line["event"], line["free_mib"], line["title"]) == ("disk_low", 3, "two\nlines")
    assert (line["process"], line["level"]) == ("sink", "warning")
    assert line["timestamp"].endswith("Z")


def test_a_library_writes_the_same_kind_of_line(capsys: Capture) -> None:
    configure(process="sink")

    logging.getLogger("some.library").error("gone: %s", "peer")

    (line,) = lines(capsys)
    assert (line["event"], line["level"], line["process"]) == ("gone: peer", "error", "sink")


def test_the_output_of_a_command_is_never_mixed_with_its_logs(capsys: Capture) -> None:
    configure()

    get_logger("x").error("trouble")

    assert capsys.readouterr().out == ""


def test_a_traceback_stays_inside_its_line(capsys: Capture) -> None:
    configure()

    try:
        raise ValueError("no price")
    except ValueError:
        get_logger("x").exception("refused")

    (line,) = lines(capsys)
    assert "ValueError: no price" in line["exception"]


@pytest.mark.parametrize(("level", "events"), [("debug", "dwe"), ("info", "we"), ("warning", "we"), ("error", "e")])
def test_what_is_less_than_the_level_is_not_written_whoever_says_it(capsys: Capture, level: str, events: str) -> None:
    configure(level)
    library = logging.getLogger("some.library")
    library.setLevel(logging.DEBUG)  # some libraries do so by themselves

    for log in (get_logger("x"), library):
        log.debug("d")
        log.warning("w")
        log.error("e")

    library.setLevel(logging.NOTSET)
    assert [line["event"] for line in lines(capsys)] == [*events, *events]


def test_libraries_that_tell_each_request_are_heard_only_in_trouble(capsys: Capture) -> None:
    configure("debug")

    for name in ("httpx", "uvicorn.access"):
        logging.getLogger(name).info("GET /markets 200")
        logging.getLogger(name).warning("trouble")

    assert [line["event"] for line in lines(capsys)] == ["trouble", "trouble"]


def test_being_set_up_again_does_not_write_each_line_twice(capsys: Capture) -> None:
    configure()
    configure("info", process="later")

    get_logger("x").info("once")

    assert [line["process"] for line in lines(capsys)] == ["later"]
