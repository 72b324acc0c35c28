"""`make compose` makes what is missing in `.env` and leaves the rest alone."""

from __future__ import annotations

from pathlib import Path

from dashboard.login import PasswordHash
from ops.compose.dotenv import complete, read


def test_a_first_start_makes_secrets_that_only_the_owner_can_read(tmp_path: Path) -> None:
    made = complete(tmp_path / ".env")

    values = read(tmp_path / ".env")
    assert len(values["CLICKHOUSE_PASSWORD"]) >= 24
    assert len(values["CLICKHOUSE_READ_PASSWORD"]) >= 24
    assert len(values["METRICS_TOKEN"]) >= 24
    assert values["CLICKHOUSE_READ_PASSWORD"] != values["CLICKHOUSE_PASSWORD"]
    assert made.dashboard_password is not None
    assert PasswordHash(values["DASHBOARD_PASSWORD_HASH"]).matches(made.dashboard_password)
    assert made.dashboard_password not in (tmp_path / ".env").read_text()
    assert (tmp_path / ".env").stat().st_mode & 0o077 == 0


def test_a_second_start_changes_nothing(tmp_path: Path) -> None:
    complete(tmp_path / ".env")
    before = (tmp_path / ".env").read_text()

    made = complete(tmp_path / ".env")

    assert (made.names, made.dashboard_password) == ((), None)
    assert (tmp_path / ".env").read_text() == before


def test_the_example_with_its_empty_secrets_is_filled_in_place(tmp_path: Path, repo_dir: Path) -> None:
    path = tmp_path / ".env"
    path.write_text((repo_dir / ".env.example").read_text("utf-8"))

    complete(path)

    text = path.read_text()
    assert text.count("\nCLICKHOUSE_PASSWORD=") == 1
    assert read(path)["CLICKHOUSE_PASSWORD"]
    assert read(path)["WINDOWS"] == "300,900,3600,86400"
    assert "# Kafka or Redpanda, host:port[,host:port]" in text


def test_what_somebody_set_stays(tmp_path: Path) -> None:
    path = tmp_path / ".env"
    path.write_text(
        "# mine\nCLICKHOUSE_PASSWORD='my own'\nCLICKHOUSE_READ_PASSWORD=x\nMETRICS_TOKEN=y\nDASHBOARD_OIDC_METADATA_URL=https://id.example/x\n"
    )

    made = complete(path, {"KAFKA_PORT": "29092"})

    assert made.names == ("KAFKA_PORT",)
    assert path.read_text().startswith("# mine\nCLICKHOUSE_PASSWORD='my own'\n")
    assert read(path)["CLICKHOUSE_PASSWORD"] == "my own"
