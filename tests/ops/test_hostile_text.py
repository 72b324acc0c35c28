"""Text of venues and of readers is data wherever it goes: never SQL, never markup, never a formula."""

from __future__ import annotations

import ast
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from dashboard import formats
from dashboard.columns import COLUMNS
from dashboard.store import Store
from kernel.clickhouse import connect
from kernel.settings import ClickHouseSettings
from schemas.avro_files import schema_text
from schemas.codec import Codec
from schemas.events import Market
from schemas.topics import MARKETS
from sinks.clickhouse import rows as to
from sinks.clickhouse.migrate import migrate
from sinks.clickhouse.store import Store as SinkStore
from tests.schemas.test_examples import OneSchemaStore, load
from tests.stack.processes import ServiceProcess, stack_dir, warehouse

__all__ = ["stack_dir", "warehouse"]

ATTACKS = (
    "'; DROP TABLE markets; --",
    "' OR 1=1 --",
    '"; DROP DATABASE movers; --',
    "\\'; DROP TABLE snapshots; --",
    "{text:String}",
    "%(text)s",
    "`; SELECT 1",
    "1) UNION ALL SELECT name, name, name, name FROM system.tables --",
    "$1 {{ }} \n\t/* */ 🤷 <script>alert(1)</script>",
)
TEXTS = {"text", "market_id", "token_id", "window", "venue", "event_key"}


@pytest.fixture(scope="module")
def settings(warehouse: ServiceProcess) -> ClickHouseSettings:
    """A migrated store in which every market's every text is an attack."""
    settings = ClickHouseSettings(clickhouse_port=warehouse.port, clickhouse_database="hostile")
    migrate(settings)
    codec = Codec(MARKETS, OneSchemaStore(schema_text("markets")), Market)
    example = codec._from_record(load(Path(__file__).parents[2] / "schemas/examples/markets/v1/kalshi_open.json"))
    now_us = time.time_ns() // 1000
    markets = [
        replace(
            example, event_id=f"{n:024d}", market_id=text, venue_market_id=text, title=text, event_title=text,
            event_key=text, venue_category=text, tags=(text,), url=text, ts_event_us=now_us, ts_received_us=now_us,
        )
        for n, text in enumerate(ATTACKS)
    ]  # fmt: skip
    sink = SinkStore(settings)
    sink.insert(to.MARKETS, [to.market_row(market) for market in markets], "hostile")
    sink.close()
    return settings


@pytest.mark.stack
def test_titles_and_tickers_are_stored_and_read_back_as_they_are(settings: ClickHouseSettings) -> None:
    store = Store(settings)
    for attack in ATTACKS:
        found = store.rows("search", COLUMNS["search"], text=attack, window="1h", limit=50)
        assert attack in set(found["title"]), attack
        assert attack in set(found["market_id"]), attack


@pytest.mark.stack
@pytest.mark.parametrize("attack", ATTACKS)
def test_no_query_parameter_is_more_than_a_value(settings: ClickHouseSettings, attack: str) -> None:
    client = connect(settings, client_name="test", role="read")
    before = client.query(
        "SELECT name, total_rows FROM system.tables WHERE database = 'hostile' ORDER BY name"
    ).result_rows
    store = Store(settings)
    others: dict[str, Any] = {"limit": 10, "span_s": 3600, "until": "2026-01-01 00:00:00"}
    asked = 0
    for query in ("search", "market", "market_moves", "siblings"):
        parameters = dict.fromkeys(TEXTS, attack) | others
        rows = store.rows(query, COLUMNS[query], **parameters)
        asked += 1
        assert len(rows) <= len(ATTACKS), query

    after = client.query(
        "SELECT name, total_rows FROM system.tables WHERE database = 'hostile' ORDER BY name"
    ).result_rows
    client.close()
    assert asked == 4
    assert after == before


def test_no_statement_is_put_together_from_values(repo_dir: Path) -> None:
    """Every f-string that is handed to a client as SQL names tables of ours; the list is short and looked at."""
    found: set[str] = set()
    for folder in ("dashboard", "sinks", "movers", "kernel"):
        for path in (repo_dir / folder).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text("utf-8"))):
                if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
                    sql = node.args[0] if node.args else None
                    if node.func.attr in {"query", "command", "query_df", "raw_query"} and isinstance(
                        sql, ast.JoinedStr
                    ):
                        found.add(str(path.relative_to(repo_dir)))

    assert found <= {
        "movers/report.py",  # names of our tables
        "movers/local/warehouse/engine.py",  # the engine itself: names of settings, quoted
        "sinks/clickhouse/migrate.py",  # the database's name, which the settings hold to letters
        "sinks/clickhouse/store.py",
        "sinks/clickhouse/fence.py",
    }


def test_text_shown_as_markdown_is_escaped() -> None:
    for attack in (
        *ATTACKS,
        "[click](javascript:alert(1))",
        "![x](http://evil)",
        ":red[x]",
        "$x$",
        "<b>",
        "a|b",
        "# x",
    ):
        escaped = formats.escape(attack)
        for letter in r"`*_{}[]()<>#$|":
            assert escaped.count(letter) == escaped.count(f"\\{letter}"), attack


def test_no_page_allows_html_from_data(repo_dir: Path) -> None:
    written = 0
    for path in (repo_dir / "dashboard").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
                assert "unsafe_allow_html" not in {keyword.arg for keyword in node.keywords}, path
                if node.func.attr == "html":
                    assert isinstance(node.args[0], ast.Name), path
                    assert node.args[0].id.isupper(), path  # a constant of ours
                    written += 1
    assert written, "the pages' style at the least"


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1+2", "@SUM(A1)", "\t=1", "\r=1", '=HYPERLINK("http://evil","x")'])
def test_a_cell_that_looks_like_a_formula_is_text_in_a_spreadsheet(text: str) -> None:
    shown = formats.cell(text)

    assert shown[0] not in "=+-@\t\r"
    assert shown.endswith(text)


def test_an_ordinary_cell_stays_as_it_is() -> None:
    assert formats.cell("Will it rain?") == "Will it rain?"
    assert formats.cell("") == ""
