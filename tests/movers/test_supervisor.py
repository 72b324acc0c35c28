"""The supervisor: waits for health, restarts what dies, stops everything and leaves no process behind."""

from __future__ import annotations

import asyncio
import dataclasses
import io
import os
import signal
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

import psutil
import pytest
from structlog.testing import capture_logs

from movers import supervisor as supervising
from movers.supervisor import ChildSpec, StartFailedError, Supervisor
from tests.stack.waiting import PATIENCE_S, until, wait_until

TOUCH_AND_WAIT = "import pathlib,sys,time; pathlib.Path(sys.argv[1]).write_text(str(__import__('os').getpid())); "


def spec(name: str, pid_file: Path, *, body: str = "time.sleep(600)", ready_timeout_s: float = PATIENCE_S) -> ChildSpec:
    return ChildSpec(
        name=name,
        argv=[sys.executable, "-c", TOUCH_AND_WAIT + body, str(pid_file)],
        ready=pid_file.exists,
        ready_timeout_s=ready_timeout_s,
        stop_timeout_s=5,
    )


def supervised(tmp_path: Path, test: Callable[[Supervisor], Awaitable[None]]) -> str:
    """Runs a test with a supervisor that is stopped afterwards; returns what it printed."""
    screen = io.StringIO()

    async def run() -> None:
        supervisor = Supervisor(tmp_path / "logs", screen=screen)
        try:
            await test(supervisor)
        finally:
            await supervisor.stop()

    asyncio.run(run())
    return screen.getvalue()


def test_start_returns_once_every_child_is_healthy(tmp_path: Path) -> None:
    async def test(supervisor: Supervisor) -> None:
        await supervisor.start([spec("one", tmp_path / "1"), spec("two", tmp_path / "2")])

        assert [child["healthy"] for child in supervisor.status()] == [True, True]

    supervised(tmp_path, test)


def test_a_killed_child_is_started_again_and_counted(tmp_path: Path) -> None:
    async def test(supervisor: Supervisor) -> None:
        await supervisor.start([spec("one", tmp_path / "1")])
        first = supervisor.children["one"].pid
        assert first is not None

        os.kill(first, signal.SIGKILL)

        await until(lambda: supervisor.children["one"].pid not in (None, first))
        assert supervisor.status()[0]["restarts"] == 1

    supervised(tmp_path, test)


def test_a_child_that_is_stuck_is_started_again_and_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervising, "CHECK_EVERY_S", 0.02)
    well = tmp_path / "well"
    well.touch()

    async def test(supervisor: Supervisor) -> None:
        child = spec("one", tmp_path / "1", ready_timeout_s=0)
        stuck = dataclasses.replace(child, ready=well.exists, stuck=lambda: not well.exists(), ready_timeout_s=0)
        await supervisor.start([stuck])
        first = supervisor.children["one"].pid

        well.unlink()

        await until(lambda: supervisor.children["one"].restarts == 1)
        well.touch()
        await until(lambda: supervisor.children["one"].healthy)
        assert supervisor.children["one"].pid not in (None, first)

    with capture_logs() as lines:
        supervised(tmp_path, test)

    assert [line["child"] for line in lines if line["event"] == "child_stuck"] == ["one"]


def test_a_child_that_waits_is_left_alone_and_a_check_that_fails_is_no_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervising, "CHECK_EVERY_S", 0.01)
    checks = 0

    def ready() -> bool:
        nonlocal checks
        checks += 1
        if checks == 2:
            raise ValueError("a check of a test")
        return checks == 1

    async def test(supervisor: Supervisor) -> None:
        waiting = dataclasses.replace(spec("one", tmp_path / "1"), ready=ready, ready_timeout_s=0)
        await supervisor.start([waiting])

        await until(lambda: checks > 3 * supervising.STUCK_CHECKS)

        assert supervisor.children["one"].restarts == 0
        assert supervisor.children["one"].healthy is False

    supervised(tmp_path, test)


def test_a_child_that_keeps_ending_is_told_loudly_and_started_again_for_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervising, "BACKOFF_S", (0.0,))
    ends = tmp_path / "ends"

    async def test(supervisor: Supervisor) -> None:
        body = f"print('no such table', flush=True); time.sleep(0 if pathlib.Path({str(ends)!r}).exists() else 600)"
        await supervisor.start([spec("one", tmp_path / "1", body=body)])
        ends.touch()
        pid = supervisor.children["one"].pid
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        await until(lambda: supervisor.children["one"].restarts > 2 * supervising.TELL_AGAIN_EVERY)

    with capture_logs() as lines:
        supervised(tmp_path, test)

    told = [line for line in lines if line["event"] == "child_keeps_ending"]
    assert [line["times"] for line in told[:2]] == [5, 10]
    assert "no such table" in told[0]["last_words"]


def test_a_program_that_cannot_be_started_now_is_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervising, "BACKOFF_S", (0.0,))
    program = tmp_path / "program"
    program.symlink_to(sys.executable)

    async def test(supervisor: Supervisor) -> None:
        child = spec("one", tmp_path / "1")
        await supervisor.start([dataclasses.replace(child, argv=[str(program), *child.argv[1:]])])
        first = supervisor.children["one"].pid
        assert first is not None
        program.unlink()
        os.kill(first, signal.SIGKILL)
        await until(lambda: supervisor.children["one"].restarts > 3)
        program.symlink_to(sys.executable)
        await until(lambda: supervisor.children["one"].pid not in (None, first))

    with capture_logs() as lines:
        supervised(tmp_path, test)

    assert "child_not_started" in {line["event"] for line in lines}


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
def test_a_full_disk_under_the_log_never_makes_a_child_wait(tmp_path: Path) -> None:
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "one.log").symlink_to("/dev/full")
    done = tmp_path / "done"
    body = f"[print('x' * 1000, flush=True) for _ in range(1000)]; pathlib.Path({str(done)!r}).touch(); time.sleep(600)"

    async def test(supervisor: Supervisor) -> None:
        await supervisor.start([spec("one", tmp_path / "1", body=body)])
        await until(done.exists)

    supervised(tmp_path, test)


def test_stop_ends_children_that_ignore_sigterm_and_their_own_children(tmp_path: Path) -> None:
    stubborn = (
        "import signal,subprocess; signal.signal(signal.SIGTERM, signal.SIG_IGN); "
        "p = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)']); "
        "pathlib.Path(sys.argv[1] + '.grandchild').write_text(str(p.pid)); time.sleep(600)"
    )
    pids: list[int] = []

    async def test(supervisor: Supervisor) -> None:
        child = spec("stubborn", tmp_path / "1", body=stubborn)
        await supervisor.start([dataclasses.replace(child, stop_timeout_s=0.3)])
        grandchild = tmp_path / "1.grandchild"
        await until(lambda: grandchild.exists() and grandchild.read_text() != "")
        pid = supervisor.children["stubborn"].pid
        assert pid is not None
        pids.extend([pid, int(grandchild.read_text())])

    supervised(tmp_path, test)

    wait_until(lambda: not any(_alive(pid) for pid in pids), "no process is left behind")


def test_a_child_that_keeps_dying_fails_the_start_with_its_last_words(tmp_path: Path) -> None:
    async def test(supervisor: Supervisor) -> None:
        broken = ChildSpec(
            name="broken",
            argv=[sys.executable, "-c", "print('no such flag'); raise SystemExit(2)"],
            ready=lambda: False,
            ready_timeout_s=15,
        )
        with pytest.raises(StartFailedError, match="no such flag"):
            await supervisor.start([broken])

    supervised(tmp_path, test)


def test_warnings_of_a_child_reach_the_screen_with_its_name_and_all_lines_its_log(tmp_path: Path) -> None:
    body = (
        'print(\'{"level": "info", "event": "fine"}\'); print(\'{"level": "error", "event": "sad"}\'); time.sleep(600)'
    )

    async def test(supervisor: Supervisor) -> None:
        await supervisor.start(
            [spec("one", tmp_path / "1", body="sys.stdout.reconfigure(line_buffering=True); " + body)]
        )
        log = tmp_path / "logs" / "one.log"
        await until(lambda: "sad" in log.read_text())
        assert "fine" in log.read_text()

    screen = supervised(tmp_path, test)

    assert "one │" in screen
    assert "sad" in screen
    assert "fine" not in screen


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ends children of a killed parent")
def test_children_end_when_the_supervisor_itself_is_killed(tmp_path: Path) -> None:
    script = tmp_path / "parent.py"
    script.write_text(
        "import asyncio, sys, pathlib\n"
        "from movers.supervisor import ChildSpec, Supervisor\n"
        "async def main():\n"
        "    s = Supervisor(pathlib.Path(sys.argv[1]) / 'logs')\n"
        "    f = pathlib.Path(sys.argv[1]) / 'pid'\n"
        f"    code = {TOUCH_AND_WAIT!r} + 'time.sleep(600)'\n"
        "    await s.start([ChildSpec(name='c', argv=[sys.executable, '-c', code, str(f)], ready=f.exists)])\n"
        "    pathlib.Path(sys.argv[1], 'started').touch()\n"
        "    await asyncio.sleep(600)\n"
        "asyncio.run(main())\n"
    )
    parent = psutil.Popen([sys.executable, str(script), str(tmp_path)])
    asyncio.run(until(lambda: (tmp_path / "started").exists() and bool((tmp_path / "pid").read_text())))
    child = int((tmp_path / "pid").read_text())

    parent.kill()
    parent.wait()

    asyncio.run(until(lambda: not _alive(child)))


def _alive(pid: int) -> bool:
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False
