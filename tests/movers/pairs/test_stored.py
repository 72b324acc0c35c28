from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

import pytest

from kernel.errors import UserError
from kernel.settings import ClickHouseSettings, Settings
from movers.pairs import published, stored
from movers.store import query
from schemas.events import Tick, WindowMove
from schemas.units import PPM_PER_PP, US_PER_S, event_id
from sinks.clickhouse import rows as to
from sinks.clickhouse.store import Store
from tests.sinks.events import a_market, a_move, a_tick, a_window, an_alert

pytestmark = pytest.mark.stack

MINUTE_US = 60 * US_PER_S


def settings_of(database: ClickHouseSettings) -> Settings:
    port, name = database.clickhouse_port, database.clickhouse_database
    return Settings({"CLICKHOUSE_PORT": str(port), "CLICKHOUSE_DATABASE": name})


def quote(market: str, ts_us: int, mid_ppm: int) -> Tick:
    tick = a_tick(market, ts_us, price_ppm=mid_ppm, price_basis="mid")
    return replace(tick, market_id=market, bid_ppm=mid_ppm - 5_000, ask_ppm=mid_ppm + 5_000)


def test_candidates_are_found_confirmed_and_shown_with_who_moved_first(
    database: ClickHouseSettings, store: Store, tmp_path: Path
) -> None:
    settings, file = settings_of(database), tmp_path / "pairs.csv"
    titles = {
        "A": "Will the moon landing succeed in 2026?",
        "B": "Moon landing to succeed in 2026?",
        "C": "Rain in Rome?",
    }
    venues = {"A": "polymarket", "B": "kalshi", "C": "kalshi"}
    facts = [
        a_market(market_id=m, title=title, venue=venues[m], token_ids=(f"{m}:Y", f"{m}:N"))
        for m, title in titles.items()
    ]
    store.insert(to.MARKETS, [to.market_row(market) for market in facts], "markets")
    now_us = time.time_ns() // 1000
    jump_us = now_us - 30 * MINUTE_US
    ticks = [quote("A", jump_us - 60 * MINUTE_US, 400_000), quote("B", jump_us - 60 * MINUTE_US, 410_000)]
    ticks += [quote("A", jump_us, 500_000), quote("B", jump_us + 7 * US_PER_S, 520_000)]
    # The venue's own figure of an earlier price: a price without a quote, which nobody here saw.
    ticks.append(replace(quote("B", jump_us - 61 * MINUTE_US, 300_000), source="backfill", bid_ppm=None, ask_ppm=None))
    store.insert(to.SNAPSHOTS, [to.tick_row(tick, 0, i) for i, tick in enumerate(ticks)], "ticks")
    told = an_alert(
        alert_id=event_id("A", jump_us), event_id=event_id("A", jump_us), market_id="A", direction="up",
        opened_at_us=jump_us, ts_event_us=jump_us, peak_move_pp=10.0,
    )  # fmt: skip
    fresh = replace(told, alert_id="f" * 24, event_id="f" * 24, market_id="B", opened_at_us=now_us - MINUTE_US)
    store.insert(to.ALERTS, [to.alert_row(alert) for alert in (told, fresh)], "alerts")

    (candidate,) = stored.suggested(settings, file, 0.7)
    stored.say(file, "confirmed", candidate["market_a"], candidate["market_b"], "read by hand")
    (row,) = stored.shown(settings, file, 24)
    undecided, alert = stored.alerts(settings, file, 24)

    assert {candidate["market_a"], candidate["market_b"]} == {"A", "B"}
    assert stored.suggested(settings, file, 0.7) == []
    assert (row["steps"], row["answered"], row["b_after_a_s"]) == (1, 1, 7.0)
    assert (row["apart_pp"], row["apart_pp_1h_ago"], row["quotes_cross_pp"]) == (2.0, 1.0, 1.0)
    assert row["older_quote_s"] >= 30 * 60
    assert (alert["other_venue_confirms"], alert["other_venue_after_s"]) == (True, 7.0)
    assert undecided["other_venue_confirms"] is None, "it has a quarter of an hour"


def test_what_is_published_is_what_people_say_now_with_who_moved_first(
    database: ClickHouseSettings, store: Store, tmp_path: Path
) -> None:
    settings, file = settings_of(database), tmp_path / "pairs.csv"
    titles = {"P": "Will the comet be seen by May 2027?", "K": "Comet seen by May 2027?"}
    facts = [
        a_market(market_id=m, title=title, venue="kalshi" if m == "K" else "polymarket", token_ids=(f"{m}:Y", f"{m}:N"))
        for m, title in titles.items()
    ]
    store.insert(to.MARKETS, [to.market_row(market) for market in facts], "comets")
    jump_us = time.time_ns() // 1000 - 30 * MINUTE_US
    ticks = [quote("P", jump_us - 60 * MINUTE_US, 400_000), quote("K", jump_us - 60 * MINUTE_US, 410_000)]
    ticks += [quote("P", jump_us, 500_000), quote("K", jump_us + 7 * US_PER_S, 520_000)]
    store.insert(to.SNAPSHOTS, [to.tick_row(tick, 0, 100 + i) for i, tick in enumerate(ticks)], "comet ticks")

    def told() -> list[tuple[object, ...]]:
        rows = query(
            settings,
            "SELECT market_a, market_b, verdict, confidence > 0.7, note, steps, answered, b_after_a_s "
            "FROM market_pairs FINAL ORDER BY market_a",
        )
        return [tuple(row.values()) for row in rows]

    stored.say(file, "confirmed", "P", "K", "read by hand")
    stored.say(file, "confirmed", "Q", "nowhere", "")
    first = published.publish(settings, file, 24)
    at_first = told()
    stored.say(file, "refused", "P", "K", "another source")
    file.write_text("".join(line for line in file.read_text().splitlines(True) if "nowhere" not in line))
    second = published.publish(settings, file, 24)

    assert first == (2, 0)
    assert at_first == [
        ("K", "P", "confirmed", 1, "read by hand", 1, 1, -7.0),
        ("Q", "nowhere", "confirmed", None, "", 0, 0, None),
    ]
    assert second == (0, 2)
    assert [(row[0], row[2], row[4]) for row in told()] == [("K", "refused", "another source"), ("Q", "withdrawn", "")]


def test_without_a_confirmed_pair_the_way_to_one_is_told(database: ClickHouseSettings, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="movers pairs suggest"):
        stored.shown(settings_of(database), tmp_path / "pairs.csv", 24)


def test_how_far_the_markets_of_published_pairs_moved_apart_is_told_the_furthest_first(
    database: ClickHouseSettings, store: Store, tmp_path: Path
) -> None:
    settings, file = settings_of(database), tmp_path / "pairs.csv"
    ends_ppm = {"one": 420_000, "other": 430_000, "far": 410_000, "off": 500_000, "lone": 500_000}
    moves = [a_move(name, market_id=name, price_ppm=ppm, windows=(an_hour(ppm),)) for name, ppm in ends_ppm.items()]
    store.insert(to.MOVERS_LATEST, to.move_rows(moves), "apart")
    for a, b in (("one", "other"), ("far", "off"), ("lone", "nowhere")):
        stored.say(file, "confirmed", a, b, "")
    published.publish(settings, file, 24)

    told = published.moves(settings, "1h")

    assert [(row["market_a"], row["market_b"], row["move_pp"], row["apart_then_pp"]) for row in told] == [
        ("far", "off", pytest.approx(9.0), pytest.approx(0.0)),
        ("one", "other", pytest.approx(1.0), pytest.approx(0.0)),
    ]
    with pytest.raises(UserError, match="unknown window 3h; known: 5m, 15m, 1h, 24h"):
        published.moves(settings, "3h")


def an_hour(price_ppm: int) -> WindowMove:
    """From 0.40 to the price."""
    return a_window(3600, move_pp=(price_ppm - 400_000) / PPM_PER_PP)
