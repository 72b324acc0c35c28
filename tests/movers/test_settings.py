"""Settings: complete example, refused mistakes, names and defaults of the plan, masked secrets."""

from __future__ import annotations

from pathlib import Path

import pytest

from kernel.errors import UserError
from kernel.settings import COMPOSE_NAMES, RENAMED
from movers.console import settings_rows
from movers.settings import groups, load


@pytest.fixture(autouse=True)
def _empty_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No `.env`, and none of our names in the environment."""
    monkeypatch.chdir(tmp_path)
    for group in groups():
        for name in group.names():
            monkeypatch.delenv(name, raising=False)


def values() -> dict[str, object]:
    """Every setting as `movers config` shows it."""
    return {str(row["name"]): row["value"] for row in settings_rows(load(), groups())}


def test_the_example_lists_every_setting_with_its_default(repo_dir: Path) -> None:
    lines = (repo_dir / ".env.example").read_text("utf-8").splitlines()
    listed = dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))

    assert {name: value for name, value in listed.items() if name not in COMPOSE_NAMES} == values()
    assert listed.keys() >= COMPOSE_NAMES


def test_the_example_tells_what_each_setting_means(repo_dir: Path) -> None:
    text = (repo_dir / ".env.example").read_text("utf-8")

    for row in settings_rows(load(), groups()):
        assert f"# {row['meaning']}\n{row['name']}=" in text


def test_the_example_itself_is_accepted(repo_dir: Path, tmp_path: Path) -> None:
    defaults = values()
    (tmp_path / ".env").write_text((repo_dir / ".env.example").read_text("utf-8"))

    assert values() == defaults


def test_what_only_docker_compose_reads_may_stand_in_dotenv(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("COMPOSE_PROFILES=monitoring\nREDPANDA_IMAGE=mine:1\n")

    assert values()


def test_names_and_defaults_are_those_of_the_plan() -> None:
    plan = {
        "COLLECTOR_PRICE_INTERVAL": "15.0",
        "COLLECTOR_MARKET_INTERVAL": "900.0",
        "ALERT_THRESHOLD_PP": "6.0",
        "MIN_VOLUME_24H": "10000.0",
        "MAX_SPREAD_PP": "2.0",
        "KALSHI_API_KEY": "",
        "KALSHI_PRIVATE_KEY_FILE": "",
    }

    assert {name: values()[name] for name in plan} == plan


@pytest.mark.parametrize(("old", "new"), RENAMED.items())
@pytest.mark.parametrize("in_file", [True, False])
def test_an_old_name_is_still_read_and_shown_under_the_new_one(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, old: str, new: str, in_file: bool
) -> None:
    default = values()[new]
    if in_file:
        (tmp_path / ".env").write_text(f"{old}=1\n")
    else:
        monkeypatch.setenv(old, "1")

    assert default not in ("1", "1.0")
    assert values()[new] in ("1", "1.0")
    assert new in load().given
    assert old not in values()


@pytest.mark.parametrize(("old", "new"), RENAMED.items())
def test_a_new_name_counts_beside_its_old_one_and_the_environment_goes_over_the_file(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, old: str, new: str
) -> None:
    (tmp_path / ".env").write_text(f"{new}=1\n{old}=2\n")
    assert values()[new] in ("1", "1.0")

    (tmp_path / ".env").write_text(f"{new}=0.5\n")
    monkeypatch.setenv(old, "1")
    assert values()[new] in ("1", "1.0")


def test_every_new_name_of_a_renamed_setting_exists() -> None:
    known = {name for group in groups() for name in group.names()}

    assert set(RENAMED.values()) <= known
    assert not set(RENAMED) & known


def test_overrides_go_over_the_environment_and_that_over_dotenv(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / ".env").write_text('CLICKHOUSE_HOST=file\nexport CLICKHOUSE_USER="${quoted}"\nLOG_LEVEL=debug\n')
    monkeypatch.setenv("CLICKHOUSE_HOST", "environment")
    monkeypatch.setenv("log_level", "warning")

    settings = load({"CLICKHOUSE_HOST": "override"})

    assert settings.clickhouse.clickhouse_host == "override"
    assert settings.clickhouse.clickhouse_user == "${quoted}"
    assert settings.process.log_level == "warning"
    assert settings.overrides == {"CLICKHOUSE_HOST": "override"}
    assert {"CLICKHOUSE_HOST", "CLICKHOUSE_USER", "LOG_LEVEL"} <= settings.given
    assert "CLICKHOUSE_PORT" not in settings.given


@pytest.mark.parametrize(
    "line",
    ["MARKETS=1", "  markets = 1", "export  MARKETS=1", "'MARKETS'=1", "MARKETS", "MARKETS # a note"],
)
def test_a_misspelt_key_is_named_with_its_line_however_it_is_written(tmp_path: Path, line: str) -> None:
    (tmp_path / ".env").write_text(f"# one\n\nMARKETS_TOPIC_DAYS=45\n{line}\n")

    with pytest.raises(UserError, match=r"\.env line 4: unknown setting MARKETS;"):
        load()


def test_a_misspelt_key_in_dotenv_is_refused_with_its_line(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("# mine, ALERT_TRESHOLD_PP\nALERT_TRESHOLD_PP=5\n")

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


@pytest.mark.parametrize("name", ["MOVERS_HOME", "STATE_DIR", "SPILL_DIR"])
def test_a_folder_left_empty_is_not_the_folder_one_stands_in(name: str) -> None:
    with pytest.raises(UserError, match=f"^setting {name}: is empty"):
        load({name: ""})


@pytest.mark.parametrize(
    "nowhere", ["", "example.com", "http://[bad", "http://", "file:///x", "http://host:0", "http://h:x"]
)
def test_an_address_that_leads_nowhere_is_one_line(nowhere: str) -> None:
    names = {name: group for group in groups() for name in group.names() if name.endswith("_URL")}
    for name, group in names.items():
        if not name.startswith("DASHBOARD_"):
            with pytest.raises(UserError, match=f"^setting {name}: no address like .*got") as caught:
                load({name: nowhere}).of(group)
            assert "\n" not in str(caught.value)


def test_no_number_is_endless() -> None:
    for group in groups():
        for name, field in group.model_fields.items():
            if field.annotation is float:
                for endless in ("inf", "nan", "1e400"):
                    with pytest.raises(UserError, match=f"^setting {name.upper()}: "):
                        load({name.upper(): endless}).of(group)


@pytest.mark.parametrize("name", ["SNAPSHOTS", "BARS", "MOVERS_CACHE"])
def test_rows_cannot_be_kept_beyond_what_the_store_counts_to(name: str) -> None:
    with pytest.raises(UserError, match=f"^setting {name}_RETENTION_DAYS: .*18250.*'36500'"):
        load({f"{name}_RETENTION_DAYS": "36500"})


def test_more_windows_can_be_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WINDOWS", "60, 300,21600")

    assert load().rules.windows == (60, 300, 21600)


def test_a_secret_is_never_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    secrets = [name for group in groups() for name in group.names() if group.is_secret(name.lower())]
    assert {"CLICKHOUSE_PASSWORD", "KALSHI_API_KEY"} <= set(secrets)
    for name in secrets:
        monkeypatch.setenv(name, "canary-hunter2")

    settings = load()

    shown = [str(settings_rows(settings, groups())), *(repr(settings.of(group)) for group in groups())]
    assert not [text for text in shown if "hunter2" in text]


def test_a_secret_may_stand_in_a_file_but_not_in_two_places(tmp_path: Path) -> None:
    secret = tmp_path / "password"
    secret.write_text("canary-hunter2\n")

    settings = load({"CLICKHOUSE_PASSWORD_FILE": str(secret)})

    assert settings.clickhouse.clickhouse_password.get_secret_value() == "canary-hunter2"
    with pytest.raises(UserError, match="CLICKHOUSE_PASSWORD and CLICKHOUSE_PASSWORD_FILE are both set"):
        load({"CLICKHOUSE_PASSWORD_FILE": str(secret), "CLICKHOUSE_PASSWORD": "other"})
    with pytest.raises(UserError, match=r"^setting CLICKHOUSE_PASSWORD_FILE: .*No such file"):
        load({"CLICKHOUSE_PASSWORD_FILE": str(tmp_path / "none")})


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"KAFKA_SECURITY_PROTOCOL": "SASL_SSL"}, "needs KAFKA_USERNAME and KAFKA_PASSWORD"),
        ({"KAFKA_SECURITY_PROTOCOL": "TLS"}, "^setting KAFKA_SECURITY_PROTOCOL: "),
        ({"KAFKA_CA_FILE": "/no/such/ca.pem"}, "^setting KAFKA_CA_FILE: no such file"),
        ({"KAFKA_CERTIFICATE_FILE": __file__}, "KAFKA_CERTIFICATE_FILE and KAFKA_KEY_FILE go together"),
    ],
)
def test_a_lock_without_its_key_is_one_line(given: dict[str, str], told: str) -> None:
    with pytest.raises(UserError, match=told) as caught:
        load(given)

    assert "\n" not in str(caught.value)


def test_a_role_without_a_user_of_its_own_is_the_one_that_writes() -> None:
    writer = {"CLICKHOUSE_USER": "sink", "CLICKHOUSE_PASSWORD": "s"}
    shared = load(writer).clickhouse
    own = load({**writer, "CLICKHOUSE_READ_USER": "reader", "CLICKHOUSE_READ_PASSWORD": "r"}).clickhouse

    assert [shared.login("migrate"), shared.login("write"), shared.login("read")] == [("sink", "s")] * 3
    assert [own.login("migrate"), own.login("write"), own.login("read")] == [
        ("sink", "s"),
        ("sink", "s"),
        ("reader", "r"),
    ]
