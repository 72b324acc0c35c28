"""The simulator as a process: stamps, faults, a clean end, one clear line for a user's mistake."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import time
from collections.abc import Callable
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from simulator.app import Simulator
from simulator.options import Options, open_tape
from simulator.server import main
from simulator.tape import RecordedTape, write_tape
from tests.simulator.conftest import Running, command, in_process, small_tape

Start = Callable[..., Running]
GAMMA, KALSHI = "/gamma/markets/keyset", "/kalshi/trade-api/v2/markets"


def test_the_date_header_is_the_tapes_never_in_the_future_and_never_back(start: Start) -> None:
    venue = start("--markets", "20", "--speed", "1000", "--since", "2h")
    seen: list[float] = []
    paces: list[str] = []

    def caught_up() -> bool:
        for path in (GAMMA, KALSHI, "/clob/time", "/nothing"):
            answer = httpx.get(venue.address + path, timeout=60)
            assert len(answer.headers.get_list("date")) == 1
            paces.append(answer.headers["simulator-pace"])
            seen.append(parsedate_to_datetime(answer.headers["date"]).timestamp())
            assert seen[-1] <= time.time()
        return bool(venue.get("/simulator/status")["caught_up"])

    venue.until(caught_up)
    assert caught_up(), "asked once more: at this speed a tape is 10 s behind a hundredth of a second earlier"

    assert seen == sorted(seen)
    assert seen[0] < time.time() - 3_000
    assert seen[-1] > time.time() - 5
    assert list(dict.fromkeys(paces)) == ["1000", "1"], "as fast as its tape, until that meets the present"


def test_row_stamps_never_lie_in_the_future(start: Start) -> None:
    venue = start("--markets", "40", "--speed", "1000", "--since", "1h")

    def caught_up() -> bool:
        for row in venue.get(GAMMA + "?limit=100")["markets"]:
            assert row["updatedAt"] <= time.strftime("%Y-%m-%dT%H:%M:%S.999999Z", time.gmtime())
        return bool(venue.get("/simulator/status")["caught_up"])

    venue.until(caught_up)


def test_sigterm_ends_it_cleanly(start: Start) -> None:
    venue = start("--markets", "20")
    assert venue.get("/simulator/status")["markets"] == {"polymarket": 10, "kalshi": 10}

    venue.process.send_signal(signal.SIGTERM)

    assert venue.process.wait(90) == 0


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--port", "x"], "not a port"),
        ([], "--port"),
        (["--port", "0", "--speed", "-1"], "--speed"),
        (["--port", "0", "--speed", "nan"], "--speed"),
        (["--port", "0", "--since", "soon"], "not a duration"),
        (["--port", "0", "--tape", "/no/such.tape"], "cannot read tape /no/such.tape"),
        (["--port", "0", "--shift", "end"], "--shift"),
        (["--port", "0", "--truth", "/no/such/dir/truth"], "cannot write"),
        (["--port", "0", "--dance"], "--dance"),
    ],
)
def test_a_users_mistake_is_one_line_and_exit_code_2(arguments: list[str], said: str, repo_dir: Path) -> None:
    ended = subprocess.run(command(*arguments), cwd=repo_dir, capture_output=True, text=True, timeout=90)

    assert ended.returncode == 2
    assert ended.stderr.startswith("error: ")
    assert said in ended.stderr
    assert ended.stderr.count("\n") == 1


def test_a_port_in_use_is_one_line_and_exit_code_2(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]

        assert main(["--port", str(port)]) == 2

    assert f"127.0.0.1:{port}" in capsys.readouterr().err


def test_truth_is_written_while_the_tape_plays(start: Start, tmp_path: Path) -> None:
    path = tmp_path / "truth.jsonl"
    venue = start("--speed", "5000", "--truth", str(path), "--since", "4h")

    venue.until(lambda: path.read_text().count("\n") > 10)

    row = json.loads(path.read_text().splitlines()[0])
    assert set(row) == {"ts_us", "venue", "market", "event", "jump_logit", "scope", "price_before", "price_after"}


def fault(mode: str, **more: Any) -> dict[str, Any]:
    return {"path_prefix": "/gamma", "mode": mode, **more}


def test_faults_break_answers_as_often_as_asked_and_only_under_their_prefix() -> None:
    async def work(client: httpx.AsyncClient, _: Simulator) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for mode in ("html", "truncated", "500", "429"):
            await client.post("/simulator/faults", json=fault(mode, count=1))
            found[mode] = await client.get(GAMMA)
            assert (await client.get(GAMMA)).json()["markets"]
        await client.post("/simulator/faults", json=fault("html", status=200))
        found["others"] = [(await client.get(path)).status_code for path in (KALSHI, "/clob/time", "/simulator/status")]
        found["still"] = [(await client.get(GAMMA)).text[:9] for _ in range(3)]
        await client.post("/simulator/faults", json=fault("off"))
        found["off"] = (await client.get(GAMMA)).status_code
        found["bad"] = (await client.post("/simulator/faults", json=fault("fire"))).status_code
        await client.post("/simulator/faults", json={"path_prefix": "/kalshi", "mode": "429", "count": 1})
        found["kalshi"] = await client.get(KALSHI)
        return found

    found = in_process(work)

    assert found["html"].status_code == 503
    assert "Cloudflare" in found["html"].text
    assert found["html"].headers["content-type"].startswith("text/html")
    assert found["truncated"].status_code == 200
    with pytest.raises(json.JSONDecodeError):
        found["truncated"].json()
    assert found["500"].status_code == 500
    assert (found["429"].status_code, found["429"].headers["retry-after"]) == (429, "1")
    assert found["others"] == [200, 200, 200]
    assert found["still"] == ["<!DOCTYPE"] * 3
    assert (found["off"], found["bad"]) == (200, 400)
    assert "retry-after" not in found["kalshi"].headers
    assert found["kalshi"].json() == {"error": "too many requests"}


def test_a_slow_answer_comes_late_and_whole() -> None:
    async def work(client: httpx.AsyncClient, _: Simulator) -> tuple[float, int]:
        await client.post("/simulator/faults", json=fault("slow", count=1, delay_s=0.2))
        began = time.monotonic()
        rows = (await client.get(GAMMA)).json()["markets"]
        return time.monotonic() - began, len(rows)

    took_s, rows = in_process(work)

    assert took_s >= 0.2
    assert rows


def test_answers_are_gzipped_when_asked(start: Start) -> None:
    venue = start("--markets", "40")

    zipped = httpx.get(venue.address + GAMMA, timeout=60)
    plain = httpx.get(venue.address + GAMMA, headers={"accept-encoding": "identity"}, timeout=60)

    assert zipped.headers["content-encoding"] == "gzip"
    assert "content-encoding" not in plain.headers
    assert int(zipped.headers["content-length"]) < int(plain.headers["content-length"]) / 4


def test_a_recording_keeps_its_own_moments_unless_it_is_shifted(tmp_path: Path) -> None:
    path = tmp_path / "small.tape"
    write_tape(path, small_tape())
    own = RecordedTape(small_tape())
    assert own.end_us is not None
    length_us = own.end_us - own.start_us

    before_us = time.time_ns() // 1_000
    kept = open_tape(Options(port=0, tape=path))
    ends = open_tape(Options(port=0, tape=path, shift="end"))
    starts = open_tape(Options(port=0, tape=path, shift="2h"))

    after_us = time.time_ns() // 1_000
    assert (kept.start_us, kept.end_us) == (own.start_us, own.end_us)
    assert before_us <= (ends.end_us or 0) <= after_us
    assert before_us <= starts.start_us + 7_200_000_000 <= after_us
    assert (starts.end_us or 0) - starts.start_us == length_us
