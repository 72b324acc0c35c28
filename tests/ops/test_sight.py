"""Dashboards, alert rules and the runbook speak of metrics that the code exports, and of nothing else."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client import Counter, Gauge, Histogram

from kernel import metrics
from schemas.topics import BY_NAME

_NAME = re.compile(r"\bmovers_[a-z0-9_]+")
_SELECTOR = re.compile(r"(movers_[a-z0-9_]+)\{([^}]*)\}")
_FUNCTIONS = {
    *("rate", "increase", "deriv", "sum", "max", "min", "avg", "count", "time", "histogram_quantile"),
    *("by", "without", "and", "or", "unless", "le", "up"),
}
_OF_PROMETHEUS = {"job", "instance", "le"}
SEVERITIES = {"page", "look"}


def _exported() -> dict[str, set[str]]:
    """Every served name of ours, with its labels."""
    found: dict[str, set[str]] = {}
    for metric in vars(metrics).values():
        if not isinstance(metric, Counter | Gauge | Histogram):
            continue
        labels = set(metric._labelnames)
        for family in metric.describe():
            endings = {"counter": ("_total",), "gauge": ("",), "histogram": ("_bucket", "_sum", "_count")}[family.type]
            found |= {family.name + ending: labels for ending in endings}
    return found


def _rules(repo_dir: Path) -> list[dict[str, Any]]:
    groups = yaml.safe_load((repo_dir / "ops/prometheus/alerts.yml").read_text("utf-8"))["groups"]
    return [rule for group in groups for rule in group["rules"]]


def _dashboards(repo_dir: Path) -> list[dict[str, Any]]:
    return [
        json.loads(path.read_text("utf-8")) for path in sorted((repo_dir / "ops/grafana/dashboards").glob("*.json"))
    ]


def _expressions(repo_dir: Path) -> list[str]:
    targets = [t["expr"] for board in _dashboards(repo_dir) for panel in board["panels"] for t in panel["targets"]]
    return targets + [rule["expr"] for rule in _rules(repo_dir)]


def test_every_name_in_rules_and_dashboards_is_exported(repo_dir: Path) -> None:
    named = {name for expression in _expressions(repo_dir) for name in _NAME.findall(expression)}

    assert named - _exported().keys() == set()


def test_every_metric_is_shown_somewhere(repo_dir: Path) -> None:
    named = {name for expression in _expressions(repo_dir) for name in _NAME.findall(expression)}
    families = {re.sub(r"_(total|bucket|sum|count)$", "", name) for name in _exported()}

    assert {f for f in families if not any(name.startswith(f) for name in named)} == set()


def test_every_label_asked_for_is_one_of_the_metric(repo_dir: Path) -> None:
    exported = _exported()
    for expression in _expressions(repo_dir):
        for name, selector in _SELECTOR.findall(expression):
            asked = set(re.findall(r"(\w+)\s*(?:=~|!~|!=|=)", selector))
            assert asked <= exported[name] | _OF_PROMETHEUS, expression
        grouped = {label.strip() for part in re.findall(r"\bby \(([^)]*)\)", expression) for label in part.split(",")}
        known = set().union(*(exported[name] for name in _NAME.findall(expression)))
        assert grouped <= known | _OF_PROMETHEUS, expression


def test_label_values_in_rules_are_ones_that_exist(repo_dir: Path) -> None:
    topics = {value for e in _expressions(repo_dir) for value in re.findall(r'topic="([^"]+)"', e)}

    assert topics <= BY_NAME.keys()


def test_expressions_are_balanced_and_use_functions_that_prometheus_has(repo_dir: Path) -> None:
    for expression in _expressions(repo_dir):
        bare = re.sub(r'"[^"]*"', "", expression)
        for opening, closing in ("()", "[]", "{}"):
            assert bare.count(opening) == bare.count(closing), expression
        assert set(re.findall(r"\b([a-z_]+)\s*\(", bare)) <= _FUNCTIONS, expression


def test_every_rule_is_whole(repo_dir: Path) -> None:
    rules = _rules(repo_dir)

    assert len({rule["alert"] for rule in rules}) == len(rules) >= 10
    for rule in rules:
        assert rule.keys() <= {"alert", "expr", "for", "labels", "annotations"}, rule["alert"]
        assert rule["labels"]["severity"] in SEVERITIES, rule["alert"]
        assert rule["annotations"]["summary"], rule["alert"]
        assert re.fullmatch(r"\d+[smh]", rule.get("for", "1m")), rule["alert"]
        shown = set(re.findall(r"\$labels\.(\w+)", rule["annotations"]["summary"]))
        known = set().union(*(_exported().get(name, set()) for name in _NAME.findall(rule["expr"])))
        assert shown <= known | _OF_PROMETHEUS, rule["alert"]


def test_the_runbook_has_a_section_for_each_rule_and_no_other(repo_dir: Path) -> None:
    text = (repo_dir / "docs/operations.md").read_text("utf-8")
    sections = set(re.findall(r"^### (\w+)$", text, re.MULTILINE))

    assert sections == {rule["alert"] for rule in _rules(repo_dir)}


@pytest.mark.parametrize("document", ["docs/operations.md", "docs/security.md"])
def test_documents_name_metrics_that_are_exported(document: str, repo_dir: Path) -> None:
    migrations = "".join(path.read_text("utf-8") for path in (repo_dir / "sinks/clickhouse/migrations").glob("*.sql"))
    of_the_store = {"movers_reader", *re.findall(r"CREATE TABLE IF NOT EXISTS (\w+)", migrations)}
    named = set(_NAME.findall((repo_dir / document).read_text("utf-8"))) - of_the_store
    families = {re.sub(r"_(total|bucket|sum|count)$", "", name) for name in _exported()}

    assert named - families - _exported().keys() == set()


def test_the_runbook_lists_every_metric_with_its_meaning(repo_dir: Path) -> None:
    text = (repo_dir / "docs/operations.md").read_text("utf-8")

    for metric in vars(metrics).values():
        if isinstance(metric, Counter | Gauge | Histogram):
            family = next(iter(metric.describe()))
            labels = ", ".join(metric._labelnames)
            assert f"| `{family.name}` | {labels} | {family.documentation} |" in text


def test_names_carry_the_unit_or_are_a_count(repo_dir: Path) -> None:
    for metric in vars(metrics).values():
        if isinstance(metric, Histogram):
            assert next(iter(metric.describe())).name.endswith(("_seconds", "_bytes"))


def test_prometheus_asks_services_that_the_compose_file_has(repo_dir: Path) -> None:
    scrapes = yaml.safe_load((repo_dir / "ops/prometheus/prometheus.yml").read_text("utf-8"))["scrape_configs"]
    services = yaml.safe_load((repo_dir / "docker-compose.yml").read_text("utf-8"))["services"]
    asked = set(scrapes[0]["dns_sd_configs"][0]["names"])
    ours = {name for name, service in services.items() if "METRICS_PORT" in service.get("environment", {})}

    assert asked == ours - {"init", "simulator"}
    assert scrapes[0]["dns_sd_configs"][0]["port"] == int(services["dashboard"]["environment"]["METRICS_PORT"])


def test_dashboards_are_two_read_only_and_ask_prometheus(repo_dir: Path) -> None:
    boards = _dashboards(repo_dir)

    assert {board["uid"] for board in boards} == {"movers-pipeline", "movers-feeds"}
    for board in boards:
        assert board["editable"] is False
        assert len({panel["id"] for panel in board["panels"]}) == len(board["panels"])
        assert {panel["datasource"]["uid"] for panel in board["panels"]} == {"prometheus"}
