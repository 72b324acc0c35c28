"""The house tape through the whole product, as `make demo` plays it: every stage carries data, nothing is left."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from tests.e2e.demo import Demo
from tests.stack.processes import child_environment

pytestmark = [pytest.mark.stack, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def finished(repo_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """One run that stops by itself: its report, its exit code, and the processes it had."""
    home = tmp_path_factory.mktemp("house run") / "home with a space"
    report = home.with_name("report.json")
    arguments = ("--for", "70", "--speed", "120", "--markets", "120", "--report", str(report))
    with Demo(home, repo_dir / ".movers" / "cache", *arguments) as demo:
        demo.wait_started()
        pids = [child["pid"] for child in demo.state["processes"]]
        page = httpx.get(f"http://127.0.0.1:{demo.env['DASHBOARD_PORT']}/", trust_env=False, timeout=60)
        said = _ask_as_a_user(demo)
        code = demo.process.wait(180)
    return {"code": code, "pids": pids, "page": page, "home": home, "said": said, **json.loads(report.read_text())}


def _ask_as_a_user(demo: Demo) -> dict[str, subprocess.CompletedProcess[str]]:
    """The commands of other terminals, while the demo runs. They find it by its home alone.

    All at once: the run ends by itself, and on a busy machine one after the other would not be done by then.
    """
    client = demo.clickhouse()
    with contextlib.closing(client):
        demo.until(
            lambda: client.query("SELECT count() FROM movers_latest WHERE abs_move_pp > 0").result_rows[0][0] > 20,
            60,
            "the first movers",
        )
    commands = {
        "top": ("top", "--window", "5m", "--limit", "3", "--json"),
        "status": ("status", "--json"),
        "sql": ("sql", "SELECT venue, count() AS ticks FROM snapshots GROUP BY venue ORDER BY venue", "--json"),
        "doctor": ("doctor",),
        "alerts": ("alerts", "tail", "--from-start", "--count", "1", "--json"),
        "wrong": ("sql", "SELECT nonsense"),
    }
    env = child_environment({"MOVERS_HOME": str(demo.home)})

    def ask(arguments: tuple[str, ...]) -> subprocess.CompletedProcess[str]:
        argv = [sys.executable, "-m", "movers", *arguments]
        return subprocess.run(argv, env=env, capture_output=True, text=True, timeout=120, check=False)

    with ThreadPoolExecutor(len(commands)) as terminals:
        return dict(zip(commands, terminals.map(ask, commands.values()), strict=True))


def test_the_run_says_ok_and_exits_zero(finished: dict[str, Any]) -> None:
    assert finished["missing"] == []
    assert finished["ok"] is True
    assert finished["code"] == 0


def test_every_topic_and_table_has_data(finished: dict[str, Any]) -> None:
    assert all(n > 0 for topic, n in finished["messages_per_topic"].items() if topic not in {"dead.letters", "alerts"})
    assert all(n > 0 for table, n in finished["rows_per_table"].items() if table != "alerts")


def test_what_was_published_was_stored(finished: dict[str, Any]) -> None:
    # The run stops while data flow, so the newest may be on the way; nothing may be more than that.
    assert finished["rows_per_table"]["snapshots"] <= finished["messages_per_topic"]["ticks"]
    assert finished["rows_per_table"]["snapshots"] > 0.9 * finished["messages_per_topic"]["ticks"]


def test_the_news_put_into_the_tape_made_alerts(finished: dict[str, Any]) -> None:
    assert finished["messages_per_topic"]["alerts"] > 0
    assert finished["rows_per_table"]["alerts"] > 0


def test_each_stage_says_how_late_it_was(finished: dict[str, Any]) -> None:
    for stage in ("producer", "analytics", "store"):
        assert finished["lag_s_per_stage"][stage]["p50"] > 0
        assert finished["lag_s_per_stage"][stage]["p99"] >= finished["lag_s_per_stage"][stage]["p50"]


def test_nothing_was_refused_and_nothing_had_to_be_restarted(finished: dict[str, Any]) -> None:
    assert finished["dead_letters"] == 0
    assert set(finished["restarts"].values()) == {0}


def test_the_dashboard_answered(finished: dict[str, Any]) -> None:
    assert finished["page"].status_code == 200
    assert finished["dashboard_http_status"] == 200


def test_the_commands_of_another_terminal_find_the_run_and_answer(finished: dict[str, Any]) -> None:
    said = finished["said"]
    rows = {name: [json.loads(line) for line in said[name].stdout.splitlines()] for name in ("top", "status", "sql")}

    assert [row["rank"] for row in rows["top"]] == [1, 2, 3]
    assert all(row["healthy"] and row["address"] and row["rss_mb"] > 0 for row in rows["status"])
    assert [row["venue"] for row in rows["sql"]] == ["kalshi", "polymarket"]
    assert said["doctor"].returncode == 0, said["doctor"].stdout
    assert json.loads(said["alerts"].stdout)["state"] == "detected"
    assert said["wrong"].returncode == 2
    assert said["wrong"].stderr.count("\n") == 1


def test_no_process_is_left_behind(finished: dict[str, Any]) -> None:
    assert [pid for pid in finished["pids"] if psutil.pid_exists(pid)] == []
    assert not (finished["home"] / "running.json").exists()
