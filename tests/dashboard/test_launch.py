"""How the dashboard is started, and when it refuses to be."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from dashboard.launch import allowed_hosts, argv, login_needed
from dashboard.login import hash_password
from kernel.errors import UserError
from kernel.settings import load
from tests.stack.ports import free_port
from tests.stack.processes import child_environment

OIDC = {
    "DASHBOARD_OIDC_METADATA_URL": "https://id.example/.well-known/openid-configuration",
    "DASHBOARD_OIDC_CLIENT_ID": "movers",
    "DASHBOARD_OIDC_CLIENT_SECRET": "a secret",
    "DASHBOARD_OIDC_REDIRECT_URL": "https://movers.example/oauth2callback",
    "DASHBOARD_OIDC_READERS": "@example.com",
}


def test_argv_starts_our_app_quietly_on_the_set_address(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DASHBOARD_PORT", "9123")
    monkeypatch.setenv("DASHBOARD_HOST", "127.0.0.2")

    arguments = argv(load())

    assert arguments[:3] == ["-m", "streamlit", "run"]
    assert Path(arguments[3]).is_file()
    options = dict(zip(arguments[4::2], arguments[5::2], strict=True))
    assert options["--server.port"] == "9123"
    assert options["--server.address"] == "127.0.0.2"
    assert options["--server.headless"] == "true"
    assert options["--browser.gatherUsageStats"] == "false"
    assert options["--client.showErrorDetails"] == "none"
    assert options["--server.enableCORS"] == options["--server.enableXsrfProtection"] == "true"
    assert options["--server.enableAgentApi"] == "false"
    pairs = list(zip(arguments[4::2], arguments[5::2], strict=True))
    assert [value for name, value in pairs if name == "--server.allowedHosts"] == allowed_hosts(load())


def test_every_line_of_its_log_is_an_event_and_one_tells_the_address(tmp_path: Path) -> None:
    port = free_port()
    settings = {"DASHBOARD_PORT": str(port), "MOVERS_HOME": str(tmp_path)}
    said = list[dict[str, object]]()
    with subprocess.Popen(
        [sys.executable, "-m", "movers", "dashboard"],
        env=child_environment(settings),
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            said.append(json.loads(line))
            if said[-1]["event"] == "Application startup complete.":
                process.terminate()
        process.wait(30)

    told = [line["address"] for line in said if line["event"] == "dashboard_started"]
    assert told == [f"http://127.0.0.1:{port}"], said


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.20", "dashboard.example"])
def test_another_address_than_loopback_wants_a_login(monkeypatch: pytest.MonkeyPatch, host: str) -> None:
    monkeypatch.setenv("DASHBOARD_HOST", host)

    with pytest.raises(UserError, match="DASHBOARD_PASSWORD_HASH") as caught:
        argv(load())

    assert "\n" not in str(caught.value)
    monkeypatch.setenv("DASHBOARD_PASSWORD_HASH", hash_password("long enough", log2_n=4))
    assert login_needed(load()) == "password"


def test_openid_connect_is_a_login_when_it_is_set_in_full(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DASHBOARD_HOST", "0.0.0.0")
    for name, value in OIDC.items():
        monkeypatch.setenv(name, value)
    assert login_needed(load()) == "oidc"

    for name in OIDC.keys() - {"DASHBOARD_OIDC_METADATA_URL"}:
        monkeypatch.setenv(name, "")
        with pytest.raises(UserError, match=name):
            login_needed(load())
        monkeypatch.setenv(name, OIDC[name])


def test_it_answers_under_its_own_names_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DASHBOARD_HOST", "0.0.0.0")
    monkeypatch.setenv("DASHBOARD_ALLOWED_HOSTS", "movers.example, board.example")

    assert allowed_hosts(load()) == ["localhost", "127.0.0.1", "movers.example", "board.example"]
