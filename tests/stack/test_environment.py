"""What a process that a test starts knows of the machine."""

from __future__ import annotations

import pytest

from tests.stack.environment import child_environment


@pytest.mark.parametrize(
    "name", ["SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "HTTPS_PROXY"]
)
def test_a_child_downloads_as_this_process_does(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, "as here")

    assert child_environment()[name] == "as here"


def test_a_setting_of_ours_does_not_reach_a_child_unless_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALERT_THRESHOLD_PP", "1")

    assert "ALERT_THRESHOLD_PP" not in child_environment()
    assert child_environment({"ALERT_THRESHOLD_PP": "2"})["ALERT_THRESHOLD_PP"] == "2"
