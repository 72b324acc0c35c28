"""How the dashboard is started."""

from __future__ import annotations

from pathlib import Path

import pytest

from dashboard.launch import argv
from kernel.settings import load


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
