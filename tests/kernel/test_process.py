"""A process's life: what healthy means, one line for what goes and comes back, signals, the port."""

from __future__ import annotations

import gc
import os
import signal
import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import pytest
from structlog.testing import capture_logs

import kernel.process
from kernel.errors import KafkaAwayError, UserError
from kernel.process import Process, Stopped, living
from kernel.settings import ProcessSettings
from tests.stack.ports import free_port
from tests.stack.waiting import wait_until


@contextmanager
def taken_port() -> Iterator[int]:
    """A port that somebody else listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield int(listener.getsockname()[1])


def test_it_is_healthy_from_its_first_turn_on() -> None:
    process = Process("p")
    assert process.health()["state"] == "starting"
    assert process.health()["ok"] is False

    process.beat()

    assert process.health()["state"] == "working"
    assert process.health()["ok"] is True


def test_a_loop_that_stays_silent_is_stuck() -> None:
    process = Process("p", silent_after_s=0)
    process.beat()

    assert process.health()["state"] == "stuck"
    assert process.health()["ok"] is False


def test_without_something_it_needs_it_waits() -> None:
    process = Process("p")
    process.beat()

    process.away("store", "ClickHouse does not answer")

    health = process.health()
    assert (health["ok"], health["state"]) == (False, "waiting")
    assert health["away"] == {"store": "ClickHouse does not answer"}
    process.back("store")
    assert process.health()["ok"] is True


def test_without_something_it_can_do_without_it_works_and_says_so() -> None:
    process = Process("p")
    process.beat()

    process.away("kafka", "no broker answers", can_work=True)

    health = process.health()
    assert (health["ok"], health["state"]) == (True, "working")
    assert health["away"] == {"kafka": "no broker answers"}


def test_facts_are_shown_and_a_bad_one_makes_it_unhealthy() -> None:
    process = Process("p")
    process.beat()
    facts: dict[str, Any] = {"ok": True, "titles": 3}
    process.add_facts(lambda: facts)
    assert process.health()["ok"] is True
    assert process.health()["titles"] == 3

    facts["ok"] = False

    assert process.health()["ok"] is False


def test_going_and_coming_back_are_one_line_each_however_many_notice() -> None:
    process = Process("p")
    with capture_logs() as lines:
        for _ in range(90):
            process.away("kafka", "no broker answers", noticed_by="consumer")
            process.away("kafka", "no broker answers", noticed_by="publisher")
        process.back("kafka", noticed_by="consumer")
        assert process.health()["away"] == {"kafka": "no broker answers"}
        process.back("kafka", noticed_by="publisher")
        process.back("kafka", noticed_by="publisher")

    assert [(line["event"], line["need"]) for line in lines] == [("need_away", "kafka"), ("need_back", "kafka")]


def test_a_step_of_the_start_is_repeated_until_what_it_needs_is_there() -> None:
    process = Process("p")
    tries = 0

    def step() -> int:
        nonlocal tries
        tries += 1
        if tries < 2:
            assert process.stopping.is_set() is False
            raise KafkaAwayError("not yet")
        assert process.health()["away"] == {"kafka": "not yet"}
        return tries

    assert process.until(step) == 2
    assert process.health()["away"] == {}


def test_told_to_stop_it_waits_no_longer() -> None:
    process = Process("p")

    def step() -> None:
        process.stop()
        raise KafkaAwayError("never")

    with pytest.raises(Stopped):
        process.until(step)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_stops_it_once_and_the_handlers_are_put_back(number: signal.Signals) -> None:
    before = signal.getsignal(number)
    told: list[str] = []
    with living("p", ProcessSettings()) as process:
        process.on_stop(lambda: told.append("stop"))
        os.kill(os.getpid(), number)
        os.kill(os.getpid(), number)
        assert process.stopping.wait(90)
        assert process.health()["state"] == "stopping"

    assert told == ["stop"]
    assert signal.getsignal(number) is before


def test_while_it_lives_python_seldom_looks_for_rings_of_dead_objects() -> None:
    before = gc.get_threshold()

    with living("p", ProcessSettings()):
        assert gc.get_threshold()[0] >= 10_000

    assert gc.get_threshold() == before


def test_stopped_while_waiting_ends_in_order() -> None:
    with living("p", ProcessSettings()) as process:
        process.stop()
        process.until(lambda: pytest.fail("it was told to stop"))

    assert process.stopping.is_set()


def test_it_answers_health_and_metrics_while_it_lives() -> None:
    port = free_port()
    settings = ProcessSettings(metrics_port=port)
    with (
        living("p", settings) as process,
        httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False, timeout=60) as http,
    ):
        assert http.get("/health").status_code == 503
        process.beat()
        answer = http.get("/health")
        assert (answer.status_code, answer.json()["state"]) == (200, "working")
        assert "process_cpu_seconds_total" in http.get("/metrics").text
        assert http.get("/else").status_code == 404

    with pytest.raises(httpx.ConnectError):
        httpx.get(f"http://127.0.0.1:{port}/health", trust_env=False, timeout=60)


def test_who_hangs_up_before_the_answer_is_told_to_nobody_and_the_next_is_answered(
    capfd: pytest.CaptureFixture[str],
) -> None:
    port, others = free_port(), threads_of_requests()
    with capture_logs() as lines, living("p", ProcessSettings(metrics_port=port)) as process:
        process.beat()
        for _ in range(3):
            with socket.create_connection(("127.0.0.1", port)) as rude:
                rude.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # the end is a reset
                rude.sendall(b"GET /metrics HTTP/1.0\r\n\r\n")

        assert httpx.get(f"http://127.0.0.1:{port}/health", trust_env=False, timeout=60).status_code == 200
        wait_until(lambda: threads_of_requests() <= others, "all are done with")

    assert "Traceback" not in capfd.readouterr().err
    assert [line["event"] for line in lines] == ["process_started", "process_ended"]


def test_who_connects_and_asks_nothing_holds_no_thread_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernel.process, "ASKED_WITHIN_S", 0.1)
    port, others = free_port(), threads_of_requests()
    with (
        living("p", ProcessSettings(metrics_port=port)),
        socket.create_connection(("127.0.0.1", port), timeout=60) as silent,
    ):
        assert silent.recv(1) == b""
        wait_until(lambda: threads_of_requests() <= others, "its thread has ended")


def threads_of_requests() -> set[threading.Thread]:
    """Of every server in this process, those of other tests too."""
    return {thread for thread in threading.enumerate() if "process_request_thread" in thread.name}


def test_a_health_that_cannot_be_told_is_one_event() -> None:
    port = free_port()
    with capture_logs() as lines, living("p", ProcessSettings(metrics_port=port)) as process:
        process.add_facts(lambda: {"broken": 1 // 0})

        with pytest.raises(httpx.RemoteProtocolError):
            httpx.get(f"http://127.0.0.1:{port}/health", trust_env=False, timeout=60)

    assert [line["error"] for line in lines if line["event"] == "answer_failed"] == [
        "ZeroDivisionError('integer division or modulo by zero')"
    ]


def test_a_taken_port_is_told_before_anything_is_begun() -> None:
    with (
        taken_port() as port,
        pytest.raises(UserError, match=f"METRICS_PORT {port} on 127.0.0.1"),
        living("p", ProcessSettings(metrics_port=port)),
    ):
        pytest.fail("it began")
    assert not [thread for thread in threading.enumerate() if thread.name == "metrics"]


def test_where_others_reach_the_port_it_does_not_open_without_a_token() -> None:
    with (
        taken_port() as port,
        pytest.raises(UserError, match=r"METRICS_HOST 0\.0\.0\.0 can be reached from elsewhere: set METRICS_TOKEN"),
        living("p", ProcessSettings(metrics_host="0.0.0.0", metrics_port=port)),
    ):
        pytest.fail("it began")
