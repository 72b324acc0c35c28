"""Every query against a migrated store: the declared columns, and what the seeded world says they must hold."""

from __future__ import annotations

from datetime import datetime, timedelta
from importlib.resources import files
from typing import Any

import pandas as pd
import pytest

from dashboard.bars import market_bars
from dashboard.columns import COLUMNS
from dashboard.store import Store, StoreUnavailableError
from kernel.settings import ClickHouseSettings
from tests.dashboard.fixtures import SeededStore
from tests.dashboard.seed import GAP_MINUTES, NO_PAIR, PAIR
from tests.stack.ports import free_port

pytestmark = pytest.mark.stack

_MARKET, _TOKEN = "KALSHI:FED-HOLD", "KALSHI:FED-HOLD:YES"


def _parameters(now: datetime) -> dict[str, dict[str, Any]]:
    board: dict[str, Any] = {
        "venues": [],
        "categories": [],
        "min_volume_usd": 0.0,
        "max_spread_pp": 100.0,
        "limit": 50,
    }
    chart = {"token_id": _TOKEN, "until": now, "span_s": 21_600, "step_s": 60}
    return {
        "board": {**board, "min_window_usd": 0.0, "window": "1h", "hide_settling": True},
        "board_parts": {},
        "board_moves": {"parts": []},
        "board_markets": {"parts": []},
        "board_market_ids": {"market_ids": [_MARKET]},
        "board_as_of": {**board, "window": "1h", "as_of": now},
        "board_so_far": {**board, "window_s": 300},
        "cache_span": {"window": "1h"},
        "coverage": {"window": "1h"},
        "watched": {"window": "1h", "fresh_s": 120},
        "sparklines": {"token_ids": [_TOKEN], "until": now, "span_s": 3600, "step_s": 60},
        "feed": {},
        "filters": {},
        "categories": {"threshold_pp": 5.0, "min_volume_usd": 0.0, "windows": ["5m", "15m", "1h", "24h"]},
        "category_history": {"window": "1h", "span_s": 10_800, "step_s": 300, "min_volume_usd": 0.0},
        "search": {"text": "FED", "window": "24h", "limit": 10},
        "market": {"market_id": _MARKET},
        "market_moves": {"token_id": _TOKEN},
        "market_bars": {"token_id": _TOKEN, "since": now - timedelta(hours=6), "until": now},
        "market_band": chart,
        "market_ticks": {"token_id": _TOKEN, "until": now, "limit": 30},
        "market_alerts": {"market_id": _MARKET, "until": now, "span_s": 86_400},
        "feed_gaps": {"venue": "kalshi", "until": now, "span_s": 86_400},
        "siblings": {"event_key": "FED-DECISION-IN-DECEMBER", "window": "24h", "limit": 20},
        "same_event": {"market_id": PAIR[0]},
        "track_record": {},
        "episodes": {
            "venues": [],
            "categories": [],
            "windows": [],
            "kinds": [],
            "hide_acked": False,
            "alert_id": "",
            "limit": 500,
        },
    }


def _ask(seeded: SeededStore, query: str, **changes: Any) -> pd.DataFrame:
    parameters = _parameters(seeded.now)[query] | changes
    if "parts" in parameters:
        parameters["parts"] = list(seeded.store.rows("board_parts", COLUMNS["board_parts"])["part"])
    return seeded.store.rows(query, COLUMNS[query], **parameters)


def test_every_sql_file_is_declared() -> None:
    names = {entry.name.removesuffix(".sql") for entry in files("dashboard.queries").iterdir() if ".sql" in entry.name}

    assert names == set(COLUMNS)


@pytest.mark.parametrize("query", sorted(COLUMNS))
def test_query_gives_declared_columns_and_rows(seeded: SeededStore, query: str) -> None:
    frame = _ask(seeded, query)

    assert len(frame) > 0
    assert {name: str(dtype) for name, dtype in frame.dtypes.items()} == dict(COLUMNS[query])


@pytest.mark.parametrize("query", sorted(COLUMNS))
def test_query_on_an_empty_store_has_the_same_columns(
    seeded: SeededStore, empty: ClickHouseSettings, query: str
) -> None:
    frame = Store(empty).rows(query, COLUMNS[query], **_parameters(seeded.now)[query])

    assert {name: str(dtype) for name, dtype in frame.dtypes.items()} == dict(COLUMNS[query])


def test_the_board_of_a_window_without_history_is_the_move_since_the_first_price(seeded: SeededStore) -> None:
    frame = _ask(seeded, "board_so_far", window_s=240)
    truth = {path.market_id: path.move_pp(3) for path in seeded.paths if not path.crosses_gap(4)}

    assert frame["score"].is_monotonic_decreasing
    assert list(frame["move_pp"]) == pytest.approx([truth[market_id] for market_id in frame["market_id"]])
    assert set(frame["market_id"]) == {market_id for market_id, move_pp in truth.items() if move_pp}


def test_board_is_ranked_and_has_one_row_a_market(seeded: SeededStore) -> None:
    frame = _ask(seeded, "board")
    truth = {path.market_id: path.move_pp(60) for path in seeded.paths}

    assert frame["market_id"].is_unique
    assert frame["score"].is_monotonic_decreasing
    assert list(frame["move_pp"]) == pytest.approx([truth[market_id] for market_id in frame["market_id"]])
    assert set(frame["market_id"]) == {
        path.market_id for path in seeded.paths if path.move_pp(60) and not path.is_settling
    }


def test_board_filters_by_venue_category_volume_and_spread(seeded: SeededStore) -> None:
    thin = "POLY:0x12"
    assert thin in set(_ask(seeded, "board")["market_id"])

    assert thin not in set(_ask(seeded, "board", min_volume_usd=1000.0)["market_id"])
    assert thin not in set(_ask(seeded, "board", max_spread_pp=5.0)["market_id"])
    assert set(_ask(seeded, "board", venues=["kalshi"])["venue"]) == {"kalshi"}
    assert set(_ask(seeded, "board", categories=["crypto", "world"])["category"]) == {"crypto", "world"}
    assert len(_ask(seeded, "board", limit=3)) == 3


def test_board_hides_settling_markets_unless_asked(seeded: SeededStore) -> None:
    settling = {path.market_id for path in seeded.paths if path.is_settling}
    assert settling

    assert not settling & set(_ask(seeded, "board", window="5m")["market_id"])
    assert settling <= set(_ask(seeded, "board", window="5m", hide_settling=False)["market_id"])


def test_board_as_of_shows_the_minute_before_not_the_present(seeded: SeededStore) -> None:
    as_of = seeded.now - timedelta(minutes=30)

    frame = _ask(seeded, "board_as_of", as_of=as_of)

    truth = {path.market_id: path.move_pp(60, ago=30) for path in seeded.paths}
    assert frame["ts"].unique().tolist() == [pd.Timestamp(as_of).floor("min")]
    assert list(frame["move_pp"]) == pytest.approx([truth[market_id] for market_id in frame["market_id"]])


def test_as_of_before_anything_was_kept_is_empty(seeded: SeededStore) -> None:
    assert _ask(seeded, "board_as_of", as_of=seeded.now - timedelta(days=9)).empty


def test_bars_stop_at_the_feed_gap(seeded: SeededStore) -> None:
    bars = market_bars(seeded.store, _TOKEN, seeded.now, 21_600, 60)
    minute = pd.Timestamp(seeded.now).floor("min")

    missing = {minute - pd.Timedelta(minutes=ago) for ago in GAP_MINUTES}

    assert not missing & set(bars["ts"])
    assert len(_ask(seeded, "feed_gaps")) == 1


def test_bars_in_wider_steps_keep_first_open_and_last_close(seeded: SeededStore) -> None:
    narrow, wide = (market_bars(seeded.store, _TOKEN, seeded.now, 21_600, step_s) for step_s in (60, 300))

    groups = narrow.groupby(narrow["ts"].dt.floor("5min"))

    assert list(wide["open"]) == list(groups["open"].first())
    assert list(wide["close"]) == list(groups["close"].last())
    assert list(wide["high"]) == list(groups["high"].max())
    assert list(wide["low"]) == list(groups["low"].min())


def test_a_confirmed_pair_is_seen_from_both_sides_with_both_quotes_and_the_lag_turned(seeded: SeededStore) -> None:
    [(_, a)], [(_, b)] = (list(_ask(seeded, "same_event", market_id=market).iterrows()) for market in PAIR)
    prices = {path.market_id: float(path.prices[-1]) for path in seeded.paths}

    assert (a["market_id"], a["venue"], b["market_id"], b["venue"]) == (PAIR[1], "polymarket", PAIR[0], "kalshi")
    assert (a["bid"], a["ask"], a["this_bid"], a["this_ask"]) == (b["this_bid"], b["this_ask"], b["bid"], b["ask"])
    assert a["this_bid"] < prices[PAIR[0]] < a["this_ask"]
    assert a["bid"] < prices[PAIR[1]] < a["ask"]
    assert (a["other_after_s"], b["other_after_s"], a["steps"], a["answered"]) == (7.5, -7.5, 6, 4)
    assert {a["received"], a["this_received"]} == {b["received"], b["this_received"]}
    assert seeded.now - a["received"] < timedelta(minutes=2)


def test_a_pair_that_was_refused_later_is_none(seeded: SeededStore) -> None:
    assert _ask(seeded, "same_event", market_id=NO_PAIR[0]).empty
    assert _ask(seeded, "same_event", market_id=NO_PAIR[1]).empty


def test_siblings_are_the_markets_of_the_event(seeded: SeededStore) -> None:
    frame = _ask(seeded, "siblings")

    assert set(frame["market_id"]) == {"KALSHI:FED-HOLD", "KALSHI:FED-CUT25", "KALSHI:FED-CUT50"}
    assert frame["price_now"].is_monotonic_decreasing


def test_search_finds_by_words_in_any_case_and_by_id(seeded: SeededStore) -> None:
    assert set(_ask(seeded, "search", text="bitCOIN")["market_id"]) == {"POLY:0x04"}
    assert set(_ask(seeded, "search", text="POLY:0x04")["market_id"]) == {"POLY:0x04"}
    assert _ask(seeded, "search", text="100%_'; DROP").empty


def test_open_episodes_come_first_then_newest(seeded: SeededStore) -> None:
    frame = _ask(seeded, "episodes")
    is_closed = (frame["state"] == "closed").astype(int)

    assert is_closed.is_monotonic_increasing
    assert 0 < is_closed.sum() < len(frame)
    for _, group in frame.groupby(is_closed):
        assert group["ts"].is_monotonic_decreasing
    assert frame["alert_id"].is_unique


def test_an_episode_says_how_many_markets_of_its_event_moved_within_a_quarter_of_an_hour(seeded: SeededStore) -> None:
    frame = _ask(seeded, "episodes").sort_values(["opened_at", "alert_id"])
    event_of = {path.market_id: path.market.event_key or path.market_id for path in seeded.paths}

    expected: dict[str, int] = {}
    for _, group in frame.groupby(frame["market_id"].map(event_of)):
        number = (group["opened_at"].diff() > pd.Timedelta(minutes=15)).cumsum()
        for _, story in group.groupby(number):
            expected |= dict.fromkeys(story["alert_id"], story["market_id"].nunique())

    assert dict(zip(frame["alert_id"], frame["story_markets"], strict=True)) == expected
    assert max(expected.values()) > 1
    assert set(frame[frame["story_markets"] == 1]["story"]) <= {""}


def test_an_episode_has_its_latest_grade_that_is_known(seeded: SeededStore) -> None:
    graded = _ask(seeded, "episodes").query("graded_after_s > 0")

    assert list(zip(graded["kept"], graded["graded_after_s"], strict=True)) == [(0.8, 300)]
    assert _ask(seeded, "episodes").query("graded_after_s == 0")["kept"].isna().all()


def test_a_track_record_has_the_horizons_at_which_a_price_was_known(seeded: SeededStore) -> None:
    frame = _ask(seeded, "track_record")

    columns = ["rule", "stage", "severity", "horizon_s", "cases", "held", "turned"]
    assert frame[columns].to_numpy().tolist() == [
        ["default", "confirmed", "medium", 60, 1, 1, 0],
        ["default", "confirmed", "medium", 300, 1, 1, 0],
        ["default", "confirmed", "medium", 900, 0, 0, 0],
    ]


def test_what_other_markets_say_stands_beside_an_episodes_own_factors(seeded: SeededStore) -> None:
    frame = _ask(seeded, "episodes")
    is_asked = frame["other_after_s"].notna()

    ((speaks_for, speaks_against),) = frame[is_asked][["factors_for", "factors_against"]].to_numpy()
    assert (list(speaks_for)[-1], list(speaks_against)[-1]) == ("other_venue", "siblings")
    said = frame[~is_asked][["factors_for", "factors_against"]].to_numpy().ravel()
    assert not {"siblings", "other_venue"} & {factor for factors in said for factor in factors}


def test_categories_count_movers_over_the_threshold(seeded: SeededStore) -> None:
    frame = _ask(seeded, "categories")
    crypto = frame[(frame["window"] == "1h") & (frame["category"] == "crypto")].iloc[0]
    moves = [path.move_pp(60) or 0.0 for path in seeded.paths if path.market.category == "crypto"]

    assert crypto["markets"] == len(moves)
    assert crypto["movers"] == sum(abs(move) >= 5 for move in moves)
    assert crypto["mean_abs_pp"] == pytest.approx(sum(map(abs, moves)) / len(moves))
    assert crypto["net_pp"] == pytest.approx(sum(moves) / len(moves))


def test_store_without_tables_says_so(warehouse: Any) -> None:
    settings = ClickHouseSettings(clickhouse_port=warehouse.port, clickhouse_database="default")

    with pytest.raises(StoreUnavailableError, match="no tables yet"):
        Store(settings).rows("coverage", COLUMNS["coverage"], window="1h")


def test_store_without_its_database_says_the_same(warehouse: Any) -> None:
    settings = ClickHouseSettings(clickhouse_port=warehouse.port, clickhouse_database="never_made")

    with pytest.raises(StoreUnavailableError, match="no tables yet"):
        Store(settings).rows("coverage", COLUMNS["coverage"], window="1h")


def test_store_away_says_so() -> None:
    with pytest.raises(StoreUnavailableError, match="does not answer"):
        Store(ClickHouseSettings(clickhouse_port=free_port())).rows("coverage", COLUMNS["coverage"], window="1h")
