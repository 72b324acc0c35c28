"""Settings: complete example, refused mistakes, masked secrets."""

from __future__ import annotations

from pathlib import Path

import pytest

from kernel.errors import UserError
from kernel.settings import Settings, given, load
from movers.console import settings_rows


@pytest.fixture(autouse=True)
def _empty_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No `.env`, and none of our names in the environment."""
    monkeypatch.chdir(tmp_path)
    for group in Settings().groups():
        for name in type(group).model_fields:
            monkeypatch.delenv(name.upper(), raising=False)


def test_the_example_lists_every_setting_with_its_default(repo_dir: Path) -> None:
    lines = (repo_dir / ".env.example").read_text("utf-8").splitlines()
    listed = dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))

    actual = {str(row["name"]): row["value"] for row in settings_rows(load())}

    assert listed == actual


def test_the_example_itself_is_accepted(repo_dir: Path, tmp_path: Path) -> None:
    (tmp_path / ".env").write_text((repo_dir / ".env.example").read_text("utf-8"))

    assert load().rules.windows == (300, 900, 3600, 86400)


def test_a_misspelt_key_in_dotenv_is_refused_with_its_line(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("# mine\nALERT_TRESHOLD_PP=5\n")

    with pytest.raises(UserError, match=r"\.env line 2: unknown setting ALERT_TRESHOLD_PP"):
        load()


def test_a_value_that_does_not_fit_is_one_line_naming_the_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLICKHOUSE_PORT", "eighty")

    with pytest.raises(UserError, match=r"^setting CLICKHOUSE_PORT: .*integer.*'eighty'") as caught:
        load()

    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("windows", ["900,300", "300,300", "", "30", "300,100000"])
def test_windows_must_be_distinct_ascending_and_at_most_a_day(monkeypatch: pytest.MonkeyPatch, windows: str) -> None:
    monkeypatch.setenv("WINDOWS", windows)

    with pytest.raises(UserError, match="setting WINDOWS"):
        load()


def test_a_setting_left_empty_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", "")

    with pytest.raises(UserError, match=r"^setting KAFKA_BOOTSTRAP_SERVERS: .*at least"):
        load()


def test_what_is_given_counts_the_environment_and_dotenv(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("# mine\nexport LOG_LEVEL=debug\n")
    monkeypatch.setenv("CLICKHOUSE_HOST", "store")

    assert {"LOG_LEVEL", "CLICKHOUSE_HOST"} <= given()
    assert "CLICKHOUSE_PORT" not in given()


def test_more_windows_can_be_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WINDOWS", "60, 300,21600")

    assert load().rules.windows == (60, 300, 21600)


def test_a_secret_is_never_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLICKHOUSE_PASSWORD", "hunter2")

    shown = " ".join(str(value) for row in settings_rows(load()) for value in row.values())

    assert "hunter2" not in shown
