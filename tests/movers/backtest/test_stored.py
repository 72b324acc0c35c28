from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from kernel.clickhouse import connect
from kernel.errors import UserError
from kernel.settings import ClickHouseSettings
from movers.backtest.stored import TICKS, read
from movers.cli import app
from schemas.events import Market, Tick
from schemas.units import US_PER_S
from sinks.clickhouse import rows as to
from sinks.clickhouse.store import Store
from tests.sinks.events import NOON_US, a_market, a_tick

pytestmark = pytest.mark.stack

Backtest = Callable[..., dict[str, Any]]


@pytest.fixture
def backtest(database: ClickHouseSettings, tmp_path: Path) -> Backtest:
    """Runs the command over what is stored, with windows of five and fifteen minutes; gives what it told."""
    environment = {
        "CLICKHOUSE_HOST": database.clickhouse_host,
        "CLICKHOUSE_PORT": str(database.clickhouse_port),
        "CLICKHOUSE_DATABASE": database.clickhouse_database,
        "WINDOWS": "300,900",
    }

    def run(*arguments: str) -> dict[str, Any]:
        out = tmp_path / "out.json"
        result = CliRunner().invoke(app, ["backtest", "--json", str(out), *arguments], env=environment)
        assert result.exit_code == 0, (result.output, result.exception)
        told: dict[str, Any] = json.loads(out.read_text())
        return told

    return run


def quoted(token_id: str, at_s: int, price_ppm: int) -> Tick:
    """A tight quote of a market that trades, so many seconds from noon."""
    book = {"bid_ppm": price_ppm - 5_000, "ask_ppm": price_ppm + 5_000, "last_ppm": price_ppm, "price_ppm": price_ppm}
    return a_tick(token_id, NOON_US + at_s * US_PER_S, volume_24h_usd=50_000.0, **book)


def stored(store: Store, ticks: Sequence[Tick], markets: Sequence[Market] = ()) -> None:
    store.insert(to.SNAPSHOTS, [to.tick_row(tick, 0, i) for i, tick in enumerate(ticks)], "ticks")
    if markets:
        store.insert(to.MARKETS, [to.market_row(market) for market in markets], "markets")


def noon(at_s: int) -> str:
    return str(NOON_US // US_PER_S + at_s)


def test_what_is_stored_comes_back_as_the_ticks_it_was(database: ClickHouseSettings, store: Store) -> None:
    ticks = [
        a_tick("A", NOON_US, volume_24h_usd=5_000.0, volume_total_usd=1e6, trades=2),
        a_tick("B", NOON_US + 1, price_ppm=None, price_basis="none", bid_ppm=None, ask_ppm=None, last_ppm=None),
        a_tick("A", NOON_US + 2_000_000, market_status="closed", price_ppm=None, price_basis="none"),
    ]
    store.insert(to.SNAPSHOTS, [to.tick_row(tick, 0, i) for i, tick in enumerate(ticks)], "ticks")

    recording = read(database, None, None, 0)

    told: dict[str, Any] = {"ts_event_basis": "venue", "source": "stream", "heartbeat_s": 0, "bid_size_contracts": None}
    told |= {"ask_size_contracts": None, "flags": ()}
    assert [replace(t, event_id="") for t in recording.ticks] == [
        replace(t, event_id="", ts_received_us=t.ts_event_us, **told) for t in ticks
    ]
    assert sorted(recording.instants_us) == [NOON_US, NOON_US + 2_000_000]


def test_a_span_bounds_what_is_read(database: ClickHouseSettings, store: Store) -> None:
    ticks = [a_tick("A", NOON_US + i) for i in range(5)]
    store.insert(to.SNAPSHOTS, [to.tick_row(tick, 0, i) for i, tick in enumerate(ticks)], "ticks")

    recording = read(database, NOON_US + 1, NOON_US + 3, 0)

    assert [t.ts_event_us - NOON_US for t in recording.ticks] == [1, 2, 3]


def test_the_ticks_of_days_are_sorted_an_hour_at_a_time(database: ClickHouseSettings, store: Store) -> None:
    """The store must not hold all of them to tell the first: two days before a span are read with it."""
    stored(store, [quoted("A", 0, 400_000)])
    client = connect(database, client_name="test", role="read")

    plan = client.query(f"EXPLAIN actions = 1 {TICKS}", parameters={"from_us": None, "to_us": None}).result_rows
    client.close()

    assert [line.strip() for (line,) in plan if "Read type" in line] == ["Read type: InOrder"]


def test_nothing_stored_is_said(database: ClickHouseSettings, store: Store) -> None:
    with pytest.raises(UserError, match="keeps no ticks"):
        read(database, None, None, 0)


def test_what_came_before_the_span_covers_the_windows_at_its_start(store: Store, backtest: Backtest) -> None:
    stored(store, [quoted("A", at_s, 400_000 if at_s < 60 else 500_000) for at_s in range(-1800, 300, 30)])

    told = backtest("--from", noon(0))

    assert [(a["windows_s"], a["detected_us"]) for a in told["alerts"]] == [([300, 900], NOON_US + 60 * US_PER_S)]
    assert (told["summary"]["days"], told["summary"]["warm_up_s"]) == (pytest.approx(270 / 86_400, abs=1e-4), 1800)


def test_what_was_told_before_the_span_is_not_told_again_in_it(store: Store, backtest: Backtest) -> None:
    """A drift of ten points in the quarter of an hour before: live it was told when six were reached."""
    drift = [quoted("A", at_s, 400_000 + max(0, at_s + 1000) * 100) for at_s in range(-1800, 0, 30)]
    stored(store, [*drift, *(quoted("A", at_s, 500_000) for at_s in range(0, 600, 30))])

    assert [a["windows_s"] for a in backtest()["alerts"]] == [[900]]
    assert backtest("--from", noon(0))["alerts"] == []


def test_nothing_stored_since_the_first_moment_is_said_whatever_came_before(
    database: ClickHouseSettings, store: Store
) -> None:
    stored(store, [quoted("A", -30, 400_000)])

    with pytest.raises(UserError, match="keeps no ticks"):
        read(database, NOON_US, None, 1800 * US_PER_S)


def test_a_venues_figure_of_an_earlier_price_is_one_in_a_backtest_too(store: Store, backtest: Backtest) -> None:
    """Such as a collector gives at its start: the moment before the quarter of an hour began."""
    figure = replace(quoted("A", -900, 400_000), source="backfill", volume_24h_usd=None)
    figure = replace(figure, ts_event_us=figure.ts_event_us - 1)
    stored(store, [figure, *(quoted("A", at_s, 500_000) for at_s in range(0, 330, 30))])

    told = backtest()

    assert [(a["windows_s"], a["kind"]) for a in told["alerts"]] == [([900], "across_gap")]
    assert told["summary"]["days"] == pytest.approx(300 / 86_400, abs=1e-4)


def test_a_market_that_runs_to_its_end_settles_as_live(store: Store, backtest: Backtest) -> None:
    ticks = [quoted(token, at_s, 800_000 if at_s < 1200 else 985_000) for at_s in range(0, 1500, 30) for token in "AB"]
    ends = a_market(market_id="M-A", close_ts_us=NOON_US + 3600 * US_PER_S)
    stored(store, ticks, [ends, replace(ends, market_id="M-B", close_ts_us=None)])

    told = backtest()

    assert [(a["market"], a["kind"]) for a in told["alerts"]] == [("M-A", "settlement"), ("M-B", "move")]
    assert "markets' ends and categories as last told" in told["summary"]["assumed"]


def test_a_rule_by_category_looks_at_the_markets_that_the_store_knows_to_have_it(
    store: Store, backtest: Backtest, tmp_path: Path
) -> None:
    ticks = [quoted(token, at_s, 400_000 if at_s < 1200 else 500_000) for at_s in range(0, 1500, 30) for token in "ABC"]
    rain = a_market(market_id="M-A", category="climate", close_ts_us=None)
    older = replace(rain, market_id="M-B", ts_received_us=rain.ts_received_us - 1)
    stored(store, ticks, [rain, older, replace(older, category="sports", ts_received_us=rain.ts_received_us)])
    rules = tmp_path / "rules.toml"
    rules.write_text(
        "\n".join(f'[[rules]]\nname = "{word}"\ncategories = ["{word}"]' for word in ("climate", "sports", "world"))
    )

    told = backtest("--rules", str(rules))

    assert [(a["market"], a["rule"]) for a in told["alerts"]] == [("M-A", "climate"), ("M-B", "sports")]
    assert told["summary"]["rules_without_markets"] == ["world"]
