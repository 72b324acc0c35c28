from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace

import pandas as pd
import pytest

from kernel.settings import RuleSettings
from schemas.events import Move
from schemas.units import window_label
from sinks.clickhouse import rows as to
from sinks.clickhouse.ranking import TOP, Ranking
from sinks.clickhouse.store import Store
from tests.sinks.events import NOON_US, a_move, a_window

pytestmark = pytest.mark.stack

RULES = RuleSettings(windows=(300, 3600), min_volume_24h=1000, max_spread_pp=5)
MINUTE_US = 60_000_000


def test_board_equals_a_brute_force_in_pandas(store: Store) -> None:
    moves = _random_moves(1500, random.Random(7))
    store.insert(to.MOVERS_LATEST, to.move_rows(moves), "moves")

    assert Ranking(store, RULES).advance(NOON_US + 12_345)

    stored = store.rows("SELECT window, rank, token_id, score FROM movers_cache WHERE as_of_ts = %(at)s", {"at": _NOON})
    assert sorted(map(tuple, stored)) == sorted(_brute_force(moves, NOON_US))
    assert {rank for _, rank, _, _ in stored} == set(range(1, TOP + 1))


def test_each_rule_alone_keeps_a_row_off_the_board(store: Store) -> None:
    good = a_move("good")
    off = [
        a_move("no price", price_ppm=None),
        a_move("thin", volume_24h_usd=999.99),
        a_move("volume unknown", volume_24h_usd=None),
        a_move("wide", spread_ppm=50_001),
        a_move("one-sided", spread_ppm=None),
        a_move("closed", market_status="closed"),
        a_move("settling", is_settling=True),
        a_move("twenty-eight dollars", windows=(a_window(300, volume_usd=28.0),)),
        a_move("silent", NOON_US - 1_201_000_000),
        a_move("not covered", windows=(a_window(300, coverage_s=299),)),
        a_move("no move", windows=(a_window(300, move_pp=None, score=None, price_then_ppm=None),)),
        a_move("window nobody asked for", windows=(a_window(7200),)),
    ]
    store.insert(to.MOVERS_LATEST, to.move_rows([good, *off]), "moves")

    Ranking(store, RULES).advance(NOON_US)

    assert {token for (token,) in store.rows("SELECT token_id FROM movers_cache")} == {"good"}


def test_a_minute_is_written_once_also_after_a_restart(store: Store) -> None:
    store.insert(to.MOVERS_LATEST, to.move_rows([a_move()]), "moves")
    ranking = Ranking(store, RULES)

    written = [ranking.advance(NOON_US + at) for at in (0, MINUTE_US - 1, MINUTE_US, MINUTE_US + 1, 5 * MINUTE_US, 0)]
    again = Ranking(store, RULES).advance(NOON_US + 5 * MINUTE_US)

    assert written == [True, False, True, False, True, False]
    assert not again
    boards = store.rows("SELECT window, uniqExact(as_of_ts), count() FROM movers_cache GROUP BY window ORDER BY window")
    assert list(boards) == [("1h", 3, 3), ("5m", 3, 3)]


def test_ties_are_ranked_by_token(store: Store) -> None:
    store.insert(to.MOVERS_LATEST, to.move_rows([a_move(token) for token in "CAB"]), "moves")

    Ranking(store, RULES).advance(NOON_US)

    rows = store.rows("SELECT rank, token_id FROM movers_cache WHERE window = '5m' ORDER BY rank")
    assert list(rows) == [(1, "A"), (2, "B"), (3, "C")]


_NOON = "2026-11-21 12:00:00"


def _random_moves(count: int, rng: random.Random) -> list[Move]:
    return [_random_move(f"T{i:04d}", rng) for i in range(count)]


def _random_move(token: str, rng: random.Random) -> Move:
    move_pp = rng.choice([None, 1.0, 2.0, round(rng.uniform(-9, 9), 2)])
    score = None if move_pp is None else abs(move_pp) * rng.choice([1.0, 5.0])
    window = a_window(300, move_pp=move_pp, score=score, coverage_s=rng.choice([300, 300, 300, 200]))
    other = replace(window, window_s=3600, coverage_s=rng.choice([3600, 3600, 3600, 3500]))
    return a_move(
        token,
        NOON_US - rng.choice([0, 0, 0, 299, 301, 1199, 1201, 2000]) * 1_000_000,
        volume_24h_usd=rng.choice([None, 500.0, 1000.0, 70_000.0, 70_000.0]),
        spread_ppm=rng.choice([None, 10_000, 10_000, 50_000, 60_000]),
        market_status=rng.choice(["open", "open", "open", "paused"]),
        is_settling=rng.random() < 0.1,
        windows=(window, other),
    )


def _brute_force(moves: Sequence[Move], as_of_us: int) -> list[tuple[str, int, str, float]]:
    rows = [
        {"window": window_label(w.window_s), "score": w.score, "size": abs(w.move_pp), "token": m.token_id}
        for m in moves
        for w in m.windows
        if w.move_pp is not None and w.score is not None and w.coverage_s == w.window_s
        if m.market_status == "open" and not m.is_settling
        if m.volume_24h_usd is not None and m.volume_24h_usd >= 1000
        if m.spread_ppm is not None and m.spread_ppm <= 50_000
        if m.ts_event_us >= as_of_us - min(max(w.window_s, 300), 1200) * 1_000_000 and w.move_pp
    ]  # fmt: skip
    frame = pd.DataFrame(rows).sort_values(["window", "score", "size", "token"], ascending=[True, False, False, True])
    frame["rank"] = frame.groupby("window").cumcount() + 1
    top = frame[frame["rank"] <= TOP]
    return list(zip(top["window"], top["rank"], top["token"], top["score"], strict=True))
