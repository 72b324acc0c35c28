"""Bound to every address of a machine, no service of ours tells a stranger anything.

In a network namespace of its own, with an address beside loopback, each process is started as if somebody had set it to
listen everywhere; then every port that listens is tried at that address. (What a venue publishes, the simulated ones do
too, to anybody: it is made up.)
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.ops.doors_inside import COMMANDS

pytestmark = pytest.mark.stack
ADDRESS = "10.99.0.1"


@pytest.fixture(scope="module")
def tried(tmp_path_factory: pytest.TempPathFactory, repo_dir: Path) -> dict[str, Any]:
    """What a stranger got at each port."""
    if shutil.which("ip") is None or os.geteuid() != 0:
        pytest.skip("needs root and iproute2, for a network namespace of its own")
    if subprocess.run(["unshare", "--net", "true"], check=False).returncode != 0:
        pytest.skip("network namespaces cannot be made here")
    folder = tmp_path_factory.mktemp("doors") / "a folder"
    folder.mkdir()
    script = (
        # A second address is all a stranger needs; it lies on lo, since not every kernel has other devices to make.
        f'ip link set lo up && ip addr add {ADDRESS}/24 dev lo && exec "$0" "$@"'
    )
    command = [
        "unshare",
        "--net",
        "sh",
        "-c",
        script,
        sys.executable,
        "-m",
        "tests.ops.doors_inside",
        ADDRESS,
        str(folder),
    ]
    done = subprocess.run(command, cwd=repo_dir, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


METRICS = {f"metrics of {name}" for name in COMMANDS}


def test_every_service_of_ours_was_tried(tried: dict[str, Any]) -> None:
    named = {"kafka", "kafka's controller", "warehouse", "registry", "simulator", "dashboard", *METRICS}

    assert set(tried["listening"]) == named


def test_kafka_registry_and_warehouse_listen_on_loopback_only(tried: dict[str, Any]) -> None:
    assert set(tried["open"]) == {"simulator", "dashboard", *METRICS}


def test_what_would_answer_strangers_does_not_start_without_a_lock(tried: dict[str, Any]) -> None:
    said = dict(tried["without_a_lock"])

    assert "DASHBOARD_PASSWORD_HASH" in said.pop("dashboard without a password")
    assert {name for name, line in said.items() if "METRICS_TOKEN" not in line and "DASHBOARD_" not in line} == set()


def test_a_stranger_gets_nothing_from_the_dashboard_without_the_password(tried: dict[str, Any]) -> None:
    assert tried["stranger"]["/_stcore/health"] == 200
    assert tried["stranger"]["/login"] == 200
    others = {path: status for path, status in tried["stranger"].items() if path not in ("/_stcore/health", "/login")}
    assert set(others.values()) == {401}


def test_under_a_name_that_is_not_its_own_it_does_not_answer(tried: dict[str, Any]) -> None:
    assert tried["foreign_name"] == 400


def test_metrics_are_for_who_shows_the_token_or_sits_on_the_machine(tried: dict[str, Any]) -> None:
    assert tried["metrics"] == dict.fromkeys(COMMANDS, 401)
    assert tried["metrics_with_another"] == dict.fromkeys(COMMANDS, 401)
    assert tried["metrics_with_token"] == dict.fromkeys(COMMANDS, 200)
    assert tried["metrics_at_home"] == dict.fromkeys(COMMANDS, 200)


def test_a_stranger_gives_the_simulated_venues_no_orders(tried: dict[str, Any]) -> None:
    assert (tried["orders"], tried["orders_at_home"]) == (403, 200)
