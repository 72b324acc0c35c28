"""What docker-compose.yml promises, read from the file itself: no engine is needed."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
import typer
import yaml

from dashboard.board.follow import MOST_ROWS
from kernel.settings import COMPOSE_NAMES
from movers.cli import app
from movers.settings import groups
from producers.shards import Shard
from schemas.topics import VENUES
from schemas.words import CATEGORIES

Service = dict[str, Any]
ONE_SHOT = {"init"}
GIVEN_BY_THE_FILE = {
    *("KAFKA_BOOTSTRAP_SERVERS", "SCHEMA_REGISTRY_URL", "CLICKHOUSE_HOST", "CLICKHOUSE_PORT", "CLICKHOUSE_USER"),
    *("CLICKHOUSE_READ_USER", "METRICS_HOST", "METRICS_PORT", "DASHBOARD_HOST"),
}
"""Settings whose values the file itself says: where its own services are."""
OF_OTHER_CLUSTERS = {
    *("KAFKA_SECURITY_PROTOCOL", "KAFKA_SASL_MECHANISM", "KAFKA_USERNAME", "KAFKA_PASSWORD", "KAFKA_CA_FILE"),
    *("KAFKA_CERTIFICATE_FILE", "KAFKA_KEY_FILE", "KAFKA_KEY_PASSWORD", "KAFKA_REPLICATION"),
    *("SCHEMA_REGISTRY_USERNAME", "SCHEMA_REGISTRY_PASSWORD", "SCHEMA_REGISTRY_CA_FILE"),
    *("CLICKHOUSE_SECURE", "CLICKHOUSE_CA_FILE", "CLICKHOUSE_MIGRATE_USER", "CLICKHOUSE_MIGRATE_PASSWORD"),
    "CLICKHOUSE_DATABASE",
}
"""Settings of a Kafka and a store that are not this file's own."""
OF_ONE_MACHINE = {"JAVA_HOME", "DISK_LOW_MIB", "DISK_STOP_MIB", "MOVERS_HOME", "STATE_DIR", "SPILL_DIR"}
"""Settings of the stack without containers, or said by the image."""
KALSHI_PARTS = ("politics", "sports", "crypto", "rest")
OVERLAYS = ("ops/compose/demo.env", "ops/compose/sharded.env")


@pytest.fixture(scope="module")
def text(repo_dir: Path) -> str:
    """The file as it stands."""
    return (repo_dir / "docker-compose.yml").read_text("utf-8")


@pytest.fixture(scope="module")
def services(text: str) -> dict[str, Service]:
    """Its services, anchors resolved."""
    found: dict[str, Service] = yaml.safe_load(text)["services"]
    return found


def _ours(services: dict[str, Service]) -> dict[str, Service]:
    return {name: service for name, service in services.items() if "build" in service}


def test_every_service_says_when_it_is_healthy_or_runs_once(services: dict[str, Service]) -> None:
    without = {name for name, service in services.items() if not service.get("healthcheck", {}).get("test")}

    assert without == ONE_SHOT
    assert all(services[name]["restart"] == "no" for name in ONE_SHOT)


def test_every_service_has_limits_rotation_a_user_and_time_to_stop(services: dict[str, Service]) -> None:
    for name, service in services.items():
        limits = service["deploy"]["resources"]["limits"]
        assert limits.keys() == {"cpus", "memory", "pids"}, name
        assert service["logging"]["options"].keys() == {"max-size", "max-file"}, name
        assert int(service["user"].split(":")[0]) > 0, name
        assert int(service["stop_grace_period"].removesuffix("s")) >= 30, name
        assert service["security_opt"] == ["no-new-privileges:true"], name


def test_the_dashboard_has_room_for_the_largest_board_it_keeps(services: dict[str, Service]) -> None:
    limit = services["dashboard"]["deploy"]["resources"]["limits"]["memory"]

    # 206 to 223 MB for 800,000 newest moves (docs/decisions/0015), beside some 220 MB of the process itself.
    assert int(limit.removesuffix("M")) > 220 + MOST_ROWS * 223 / 800_000


def test_our_services_have_no_capability_and_a_root_that_cannot_be_written(services: dict[str, Service]) -> None:
    for name, service in _ours(services).items():
        assert service["cap_drop"] == ["ALL"], name
        assert service["read_only"] is True, name
        assert not service.get("privileged"), name


def test_every_port_is_published_on_loopback_at_the_number_people_know(services: dict[str, Service]) -> None:
    ports = [port for service in services.values() for port in service.get("ports", [])]

    assert [port for port in ports if not port.startswith("127.0.0.1:")] == []
    published = {int(re.findall(r"\$\{\w+:-(\d+)\}", port)[0]) for port in ports}
    assert {19092, 18081, 8123, 8501} <= published


def test_the_metrics_port_is_not_published(services: dict[str, Service]) -> None:
    ports = [port for service in services.values() for port in service.get("ports", [])]

    assert [port for port in ports if port.endswith(":9500")] == []


def test_who_reads_metrics_shows_the_token(services: dict[str, Service], repo_dir: Path) -> None:
    of_ours = {service["environment"]["METRICS_TOKEN"] for service in _ours(services).values()}
    jobs = yaml.safe_load((repo_dir / "ops/prometheus/prometheus.yml").read_text("utf-8"))["scrape_configs"]
    file = next(job["authorization"]["credentials_file"] for job in jobs if job["job_name"] == "movers")

    assert of_ours == {services["prometheus"]["environment"]["METRICS_TOKEN"]}
    assert f'"$$METRICS_TOKEN" > {file};' in " ".join(services["prometheus"]["entrypoint"])


def test_every_image_can_be_named_by_a_variable(services: dict[str, Service]) -> None:
    images = {name: service["image"] for name, service in services.items()}

    assert {
        name for name, image in images.items() if not re.fullmatch(r"\$\{\w+_IMAGE:-[\w./-]+:[\w.-]+\}", image)
    } == set()
    assert [image for image in images.values() if image.endswith(":latest}")] == []


def test_no_secret_has_a_default_and_the_example_leaves_them_empty(text: str, repo_dir: Path) -> None:
    secrets = re.findall(r"\$\{(\w*(?:PASSWORD|SECRET|TOKEN)\w*)(:?[-?][^}]*)?\}", text)
    example = (repo_dir / ".env.example").read_text("utf-8")

    assert {name for name, _ in secrets} >= {"CLICKHOUSE_PASSWORD", "DASHBOARD_PASSWORD_HASH"}
    assert [name for name, default in secrets if default.startswith(":-") and default != ":-"] == []
    assert [name for name, _ in secrets if not re.search(rf"^{name}=$", example, re.MULTILINE)] == []
    # The store has no other guard; the dashboard refuses by itself (tests/dashboard/test_launch.py).
    assert all(default.startswith(":?") for name, default in secrets if name.startswith(("CLICKHOUSE_", "METRICS_")))


def test_only_who_writes_to_the_store_knows_its_password(services: dict[str, Service]) -> None:
    knows = {name for name, service in services.items() if "CLICKHOUSE_PASSWORD" in service.get("environment", {})}

    assert knows == {"clickhouse", "init", "sink-clickhouse"}
    assert "CLICKHOUSE_USER" not in services["dashboard"]["environment"]


def test_the_dashboards_user_has_the_rights_of_the_readers_role_and_no_more(
    services: dict[str, Service], repo_dir: Path
) -> None:
    path = "ops/clickhouse/users.d/movers_reader.xml"
    user = ElementTree.parse(repo_dir / path).getroot().find("users/*")  # noqa: S314  our own file
    roles = (repo_dir / "ops/clickhouse/roles.sql").read_text("utf-8")
    of_role = re.findall(r"^(GRANT .*) TO movers_read;$", roles, re.MULTILINE)

    assert user is not None
    assert user.tag == services["dashboard"]["environment"]["CLICKHOUSE_READ_USER"]
    assert [query.text for query in user.findall("grants/query")] == of_role
    password = user.find("password")
    assert password is not None
    assert password.attrib["from_env"] in services["clickhouse"]["environment"]
    assert f"./{path}:/etc/clickhouse-server/users.d/movers_reader.xml:ro" in services["clickhouse"]["volumes"]


def test_what_the_store_notes_of_itself_leaves_or_is_not_written(services: dict[str, Service], repo_dir: Path) -> None:
    path = "ops/clickhouse/config.d/log_tables.xml"
    tables = list(ElementTree.parse(repo_dir / path).getroot())  # noqa: S314  our own file

    assert {table.tag for table in tables} >= {"query_log", "part_log", "text_log", "trace_log", "metric_log"}
    assert {table.tag for table in tables} >= {"asynchronous_metric_log", "processors_profile_log"}
    for table in tables:
        kept = re.fullmatch(r"event_date \+ INTERVAL \d{1,2} DAY DELETE", table.findtext("ttl") or "")
        assert (kept is not None) is not (table.get("remove") == "1"), table.tag
    assert f"./{path}:/etc/clickhouse-server/config.d/log_tables.xml:ro" in services["clickhouse"]["volumes"]


def test_every_variable_is_in_the_example_and_every_name_kept_for_compose_is_used(text: str, repo_dir: Path) -> None:
    used = set(re.findall(r"\$\{(\w+)", text))
    example = (repo_dir / ".env.example").read_text("utf-8")
    listed = dict(line.split("=", 1) for line in example.splitlines() if line and not line.startswith("#"))
    settings = {name for group in groups() for name in group.names()}

    assert used - listed.keys() == set()
    assert used - settings == COMPOSE_NAMES
    defaults = dict(re.findall(r"\$\{(\w+):-([^}]*)\}", text))
    assert {name: defaults[name] for name in COMPOSE_NAMES} == {name: listed[name] for name in COMPOSE_NAMES}


def test_what_is_passed_on_has_the_default_of_the_setting(text: str, repo_dir: Path) -> None:
    example = (repo_dir / ".env.example").read_text("utf-8")
    listed = dict(line.split("=", 1) for line in example.splitlines() if line and not line.startswith("#"))
    passed = re.findall(r"^ +(\w+): \"?\$\{(\w+):-([^}]*)\}", text, re.MULTILINE)

    different = [
        (name, default, listed[name])
        for key, name, default in passed
        if key == name and name in listed and not _same(default, listed[name])
    ]

    assert different == []


def _same(one: str, other: str) -> bool:
    try:
        return float(one) == float(other)
    except ValueError:
        return one == other


def test_every_setting_of_a_service_is_one_of_ours(services: dict[str, Service]) -> None:
    settings = {name for group in groups() for name in group.names()}

    for name, service in _ours(services).items():
        assert service["environment"].keys() - settings == set(), name


def test_every_setting_that_can_count_here_reaches_a_service(text: str) -> None:
    settings = {name for group in groups() for name in group.names()}

    without = settings - set(re.findall(r"\$\{(\w+)", text))

    assert without == GIVEN_BY_THE_FILE | OF_OTHER_CLUSTERS | OF_ONE_MACHINE


@pytest.mark.parametrize(
    ("setting", "readers"),
    [
        ("ALERT_RULES", {"process-analytics", "dashboard"}),
        ("KALSHI_PRIVATE_KEY_FILE", {"produce-kalshi", *(f"produce-kalshi-{part}" for part in KALSHI_PARTS)}),
    ],
)
def test_a_file_of_the_operator_is_read_where_its_setting_says(
    services: dict[str, Service], setting: str, readers: set[str]
) -> None:
    mounted = {
        name: [volume for volume in service.get("volumes", []) if setting in str(volume)]
        for name, service in _ours(services).items()
    }

    assert {name for name, volumes in mounted.items() if volumes} == readers
    for name in readers:
        assert services[name]["environment"][setting] == f"${{{setting}:+/etc/movers/${{{setting}:-}}}}"
        assert mounted[name] == [
            {
                "type": "bind",
                "source": f"${{{setting}:-/dev/null}}",
                "target": f"/etc/movers/${{{setting}:-no_{setting}}}",
                "read_only": True,
                "bind": {"create_host_path": False},
            }
        ]


def test_every_command_is_one_of_ours(services: dict[str, Service]) -> None:
    command = typer.main.get_command(app)
    assert isinstance(command, typer.core.TyperGroup)

    for name, service in _ours(services).items():
        if name not in ONE_SHOT:
            assert service["command"][0] in command.commands, name


def test_nothing_starts_before_the_topics_schemas_and_tables_are_there(services: dict[str, Service]) -> None:
    workers = _ours(services).keys() - ONE_SHOT

    assert workers
    for name in workers:
        assert services[name]["depends_on"]["init"] == {"condition": "service_completed_successfully"}, name
    assert services["init"]["depends_on"].keys() == {"redpanda", "clickhouse"}


def test_no_two_services_share_a_hostname_or_a_volume(services: dict[str, Service]) -> None:
    hostnames = [service["hostname"] for service in services.values() if "hostname" in service]
    mounts = [volume for service in services.values() for volume in service.get("volumes", [])]
    volumes = [mount for mount in mounts if isinstance(mount, str) and mount[0] != "."]

    assert len(set(hostnames)) == len(hostnames)
    assert len(set(volumes)) == len(volumes)


def test_redpanda_acknowledges_what_is_on_disk(services: dict[str, Service]) -> None:
    command = " ".join(services["redpanda"]["command"])

    assert "dev-container" not in command
    assert "unsafe" not in command
    assert "write_caching" not in command
    assert "auto_create_topics_enabled=false" in command


@pytest.mark.parametrize("venue", VENUES)
def test_the_sharded_collectors_hold_every_category_once(services: dict[str, Service], venue: str) -> None:
    sharded = [s["command"] for s in services.values() if s.get("profiles") == ["sharded"] and s["command"][1] == venue]

    parts = [Shard.parse(venue, command[command.index("--category") + 1]) for command in sharded]

    assert len(parts) == 4
    assert [sum(part.owns("any", category) for part in parts) for category in CATEGORIES] == [1] * len(CATEGORIES)


@pytest.mark.parametrize("name", OVERLAYS)
def test_an_overlay_sets_what_the_file_reads_and_a_profile_it_has(
    name: str, text: str, services: dict[str, Service], repo_dir: Path
) -> None:
    lines = [line for line in (repo_dir / name).read_text("utf-8").splitlines() if line and not line.startswith("#")]
    values = dict(line.split("=", 1) for line in lines)
    profiles = {profile for service in services.values() for profile in service.get("profiles", [])}

    assert values.pop("COMPOSE_PROFILES") in profiles
    assert values.keys() - set(re.findall(r"\$\{(\w+)", text)) == set()


def test_profiles_are_the_documented_ones(services: dict[str, Service]) -> None:
    profiles = {profile for service in services.values() for profile in service.get("profiles", [])}

    assert profiles == {"demo", "sharded", "tools", "monitoring"}


def test_the_image_has_no_compiler_and_runs_as_nobody_special(repo_dir: Path) -> None:
    dockerfile = (repo_dir / "Dockerfile").read_text("utf-8")
    last = dockerfile.rpartition("FROM ")[2]

    assert "apt-get" not in last
    assert "pip" not in last
    assert re.search(r"^USER 10001", last, re.MULTILINE)
    assert dockerfile.count("ARG BASE_IMAGE") == 1
    assert "ARG PIP_INDEX_URL" in dockerfile


def test_the_analytics_are_compiled_where_the_compiler_is_and_nowhere_else(repo_dir: Path) -> None:
    build, last = (repo_dir / "Dockerfile").read_text("utf-8").split("\nFROM ")[1:]

    assert "movers compile" in build
    assert [word for word in ("gcc", "mypy", "/opt/compile", "/opt/tools") if word in last] == []
