"""Bound to every address of a machine, no service of ours tells a stranger anything.

In a network namespace of its own, with an address beside loopback, each process is started as if somebody had set it to
listen everywhere; then every port that listens is tried at that address.
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


def test_everything_ran_and_answered_on_its_own_machine(tried: dict[str, Any]) -> None:
    assert tried["at_home"] == {"warehouse": 200, "registry": 200, "dashboard": 200, "metrics": 200}


def test_the_dashboard_is_all_that_listens_beside_loopback(tried: dict[str, Any]) -> None:
    assert tried["open_ports"] == ["dashboard"]


def test_a_stranger_gets_nothing_from_the_dashboard_without_the_password(tried: dict[str, Any]) -> None:
    assert tried["stranger"]["/_stcore/health"] == 200
    assert tried["stranger"]["/login"] == 200
    others = {path: status for path, status in tried["stranger"].items() if path not in ("/_stcore/health", "/login")}
    assert set(others.values()) == {401}


def test_under_a_name_that_is_not_its_own_it_does_not_answer(tried: dict[str, Any]) -> None:
    assert tried["foreign_name"] == 400


def test_without_a_password_it_does_not_start(tried: dict[str, Any]) -> None:
    assert tried["without_password"] == 2
