"""A small, realistic world written into a warehouse: the dashboard's fixture, and its author's playground.

`python -m tests.dashboard.seed --port 18123` fills a migrated warehouse whose data ends now.
Everything derives from one price path a market, so bars, ticks, moves, boards and alerts agree with each other.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import numpy as np
from clickhouse_connect.driver.client import Client
from numpy.typing import NDArray

from kernel.clickhouse import connect
from kernel.settings import ClickHouseSettings
from schemas.units import event_id
from tests.dashboard.world_markets import MARKETS, SeedMarket

MINUTE = timedelta(minutes=1)
WINDOWS: dict[str, int] = {"5m": 5, "15m": 15, "1h": 60, "24h": 1440}
THRESHOLD_PP = 10.0
GAP_MINUTES = range(80, 95)  # minutes before now in which Kalshi's feed was down
TICK_MINUTES = 180
PAIR = ("KALSHI:SCOTUS-TARIFF", "POLY:0x11")
NO_PAIR = ("KALSHI:HURR", "POLY:0x12")
_SPREAD = 0.01

Prices = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Path:
    """One market and its price at each minute; the last one is now. `gaps` marks minutes nobody saw."""

    market: SeedMarket
    prices: Prices
    volumes: Prices
    gaps: NDArray[np.bool_]

    @property
    def market_id(self) -> str:
        return f"POLY:{self.market.ticker}" if self.market.venue == "polymarket" else f"KALSHI:{self.market.ticker}"

    @property
    def token_id(self) -> str:
        return f"{self.market_id}:YES"

    @property
    def is_settling(self) -> bool:
        return bool(self.market.ends_in_h <= 1.5 and self.prices[-1] > 0.95)

    @property
    def spread(self) -> float:
        return 0.09 if self.market.volume_24h_usd < 1_000 else _SPREAD

    def move_pp(self, window_min: int, ago: int = 0) -> float | None:
        """The move over a window, as of so many minutes before now; None where history is too short."""
        now = len(self.prices) - 1 - ago
        then = now - window_min
        return None if then < 0 else round(float(self.prices[now] - self.prices[then]) * 100, 4)

    def crosses_gap(self, window_min: int, ago: int = 0) -> bool:
        now = len(self.prices) - 1 - ago
        return bool(self.gaps[max(0, now - window_min) : now + 1].any())


def seed(client: Client, *, now: datetime | None = None, history_min: int = 26 * 60) -> list[Path]:
    """Fills the tables of a migrated warehouse; the newest moment is `now`, the oldest `history_min` before it."""
    end = now or datetime.now(tz=UTC)
    paths = [_path(market, history_min, number) for number, market in enumerate(MARKETS)]
    _insert_markets(client, paths, end)
    _insert_bars(client, paths, end)
    _insert_snapshots(client, paths, end)
    _insert_movers_latest(client, paths, end)
    _insert_movers_cache(client, paths, end)
    _insert_alerts(client, paths, end)
    _insert_feed_status(client, end)
    _insert_pairs(client, end)
    return paths


def _path(market: SeedMarket, history_min: int, number: int) -> Path:
    rng = np.random.default_rng(20261123 + number)
    steps = rng.normal(0.0, 0.012, history_min + 1)
    for minutes_ago, change in market.jumps:
        if minutes_ago <= history_min:
            steps[history_min - minutes_ago] += change
    odds = math.log(market.start / (1 - market.start)) + np.cumsum(steps)
    prices = np.clip(np.round(1 / (1 + np.exp(-odds)) / 0.005) * 0.005, 0.005, 0.995)
    volumes = rng.gamma(0.6, market.volume_24h_usd / 1440 / 0.6, history_min + 1).round(2)
    ages = np.arange(history_min, -1, -1)
    gaps = np.isin(ages, list(GAP_MINUTES)) if market.venue == "kalshi" else np.zeros(history_min + 1, dtype=bool)
    return Path(market, prices, volumes, gaps)


def _dec(value: float) -> Decimal:
    return Decimal(f"{value:.6f}")


def _names(text: str) -> list[str]:
    return text.split()


def _insert(client: Client, table: str, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    client.insert(table, list(rows), column_names=list(columns))


def _insert_markets(client: Client, paths: Sequence[Path], now: datetime) -> None:
    columns = _names(
        "market_id venue venue_market_id title event_key event_title mutually_exclusive category venue_category tags "
        "status result open_ts close_ts url ts ts_received"
    )
    rows: list[tuple[Any, ...]] = []
    for path in paths:
        m = path.market
        site = "polymarket.com/event" if m.venue == "polymarket" else "kalshi.com/markets"
        opened, closes = now - timedelta(days=40), now + timedelta(hours=m.ends_in_h)
        row = (path.market_id, m.venue, m.ticker, m.title, m.event_key, m.event, bool(m.event), m.category)
        rows.append((*row, m.category, ["demo"], "open", None, opened, closes, f"https://{site}/{m.ticker}", now, now))
    _insert(client, "markets", columns, rows)
    tokens = [
        (f"{path.market_id}:{side}", path.market_id, side.title(), index, now)
        for path in paths
        for index, side in enumerate(("YES", "NO"))
    ]
    _insert(client, "market_tokens", ("token_id", "market_id", "outcome", "outcome_index", "ts_received"), tokens)


def _insert_bars(client: Client, paths: Sequence[Path], now: datetime) -> None:
    columns = _names("ts token_id market_id venue open high low close volume_usd trades ticks ts_received")
    start_of_minute = now.replace(second=0, microsecond=0)
    rows: list[tuple[Any, ...]] = []
    for path in paths:
        last = len(path.prices) - 1
        for at in range(1, last + 1):
            if path.gaps[at]:
                continue
            ts = start_of_minute - (last - at) * MINUTE
            first, final = float(path.prices[at - 1]), float(path.prices[at])
            volume = float(path.volumes[at])
            ohlc = (_dec(first), _dec(max(first, final)), _dec(min(first, final)), _dec(final))
            rows.append((ts, path.token_id, path.market_id, path.market.venue, *ohlc, volume, int(volume // 50), 3, ts))
    _insert(client, "ohlcv_1m", columns, rows)


def _insert_snapshots(client: Client, paths: Sequence[Path], now: datetime) -> None:
    columns = _names(
        "ts token_id market_id venue price price_basis bid ask last spread bid_size_contracts ask_size_contracts "
        "volume_24h_usd volume_total_usd volume_total_contracts trades market_status source ts_event_basis flags "
        "ts_received kafka_partition kafka_offset"
    )
    rows: list[tuple[Any, ...]] = []
    for path in paths:
        last = len(path.prices) - 1
        for ago in range(min(TICK_MINUTES, last), -1, -1):
            at = last - ago
            if path.gaps[at]:
                continue
            ts = now - ago * MINUTE - timedelta(seconds=1.4)
            price = float(path.prices[at])
            bid, ask = max(0.0, price - path.spread / 2), min(1.0, price + path.spread / 2)
            money = (path.market.volume_24h_usd, path.market.volume_24h_usd * 12, path.market.volume_24h_usd * 20)
            quote = (_dec(price), "mid", _dec(bid), _dec(ask), _dec(price), _dec(ask - bid), 900.0, 750.0)
            identity = (ts, path.token_id, path.market_id, path.market.venue)
            flags = ["clock_skew"] if ago % 37 == 5 else []
            tail = (None, "open", "sweep", "http_date", flags, ts + timedelta(seconds=0.4))
            rows.append((*identity, *quote, *money, *tail, 0, len(rows)))
    _insert(client, "snapshots", columns, rows)


def _score(move_pp: float, volume_24h_usd: float) -> float:
    return abs(move_pp) * math.log1p(volume_24h_usd)


def _insert_movers_latest(client: Client, paths: Sequence[Path], now: datetime) -> None:
    columns = _names(
        "window token_id market_id venue ts ts_received price_now price_then ts_then move_pp abs_move_pp score "
        "coverage_s price_basis spread volume_24h_usd window_volume_usd window_trades market_status seconds_to_close "
        "step_pp is_settling computed_across_gap"
    )
    rows: list[tuple[Any, ...]] = []
    for path in paths:
        for name, minutes in WINDOWS.items():
            move = path.move_pp(minutes)
            then = None if move is None else _dec(float(path.prices[-1 - minutes]))
            score = None if move is None else _score(move, path.market.volume_24h_usd)
            size = None if move is None else abs(move)
            ts, covered = now - timedelta(seconds=1.4), min(len(path.prices) - 1, minutes) * 60
            head = (name, path.token_id, path.market_id, path.market.venue, ts, ts + timedelta(seconds=0.4))
            prices = (_dec(float(path.prices[-1])), then, None if then is None else ts - minutes * MINUTE)
            money = (path.market.volume_24h_usd, float(path.volumes[-minutes:].sum()), 14)
            tail = ("open", int(path.market.ends_in_h * 3600), 0.5, path.is_settling, path.crosses_gap(minutes))
            rows.append((*head, *prices, move, size, score, covered, "mid", _dec(path.spread), *money, *tail))
    _insert(client, "movers_latest", columns, rows)


def _insert_movers_cache(client: Client, paths: Sequence[Path], now: datetime) -> None:
    columns = _names(
        "as_of_ts window rank token_id market_id venue ts price_now price_then move_pp abs_move_pp score "
        "volume_24h_usd spread computed_across_gap"
    )
    minute = now.replace(second=0, microsecond=0)
    rows: list[tuple[Any, ...]] = []
    for name, minutes in WINDOWS.items():
        for ago in range(TICK_MINUTES, -1, -1):
            board = [(path, path.move_pp(minutes, ago)) for path in paths]
            moved = [(p, m, _score(m, p.market.volume_24h_usd)) for p, m in board if m]
            moved.sort(key=lambda row: -row[2])
            for rank, (path, move, score) in enumerate(moved[:25], start=1):
                at = len(path.prices) - 1 - ago
                as_of = minute - ago * MINUTE
                head = (as_of, name, rank, path.token_id, path.market_id, path.market.venue, as_of)
                prices = (_dec(float(path.prices[at])), _dec(float(path.prices[at - minutes])))
                tail = (path.market.volume_24h_usd, _dec(path.spread), path.crosses_gap(minutes, ago))
                rows.append((*head, *prices, move, abs(move), score, *tail))
    if rows:
        _insert(client, "movers_cache", columns, rows)


def _insert_alerts(client: Client, paths: Sequence[Path], now: datetime) -> None:
    columns = _names(
        "alert_id event_id state kind venue market_id token_id title category url window direction opened_at ts "
        "ts_received price_now price_then move_pp peak_move_pp threshold_pp score volume_24h_usd spread "
        "seconds_to_close computed_across_gap close_reason rule_version rule windows severity reason factors_for "
        "factors_against"
    )
    rows = [
        row
        for path in paths
        for name, minutes in WINDOWS.items()
        if name != "24h" and path.market.volume_24h_usd >= 1_000
        for row in _episodes(path, name, minutes, now)
    ]
    if rows:
        _insert(client, "alerts", columns, rows)
        graded = dict(zip(columns, rows[0], strict=True))
        _insert_grades(client, graded)
        _insert_corroboration(client, graded)


def _insert_grades(client: Client, alert: dict[str, Any]) -> None:
    """One episode as the sink grades it: after a minute all of its move, after five 80 %, after 15 nobody knows."""
    columns = _names("alert_id horizon_s due market_id venue rule rule_version severity kind confirmed kept")
    identity = [alert[name] for name in ("market_id", "venue", "rule", "rule_version", "severity", "kind")]
    rows = [
        (alert["alert_id"], after_s, alert["opened_at"] + timedelta(seconds=after_s), *identity, True, kept)
        for after_s, kept in ((60, 1.0), (300, 0.8), (900, None))
    ]
    _insert(client, "alert_grades", columns, rows)


def _insert_corroboration(client: Client, alert: dict[str, Any]) -> None:
    """The same episode as others say of it: the other venue went first, its siblings stood still."""
    columns = _names("alert_id looked_at is_final siblings other_market_id other_venue other_after_s")
    looked_at = alert["opened_at"] + timedelta(minutes=16)
    _insert(client, "alert_corroboration", columns, [(alert["alert_id"], looked_at, True, False, "THERE", True, -34.0)])


def _episodes(path: Path, window: str, minutes: int, now: datetime) -> list[tuple[Any, ...]]:
    """Confirmed past the threshold, closed under half of it, minute by minute over the last three hours."""
    rows: list[tuple[Any, ...]] = []
    opened: tuple[int, float] | None = None
    for ago in range(min(TICK_MINUTES, len(path.prices) - 1 - minutes), -1, -1):
        move = path.move_pp(minutes, ago)
        if move is None:
            continue
        if opened is None and abs(move) >= THRESHOLD_PP:
            opened = (ago, move)
            rows.append(_alert(path, window, minutes, "confirmed", ago, opened, now))
        elif opened is not None and abs(move) < THRESHOLD_PP / 2:
            rows.append(_alert(path, window, minutes, "closed", ago, opened, now))
            opened = None
    return rows


def _alert(
    path: Path, window: str, minutes: int, state: str, ago: int, opened: tuple[int, float], now: datetime
) -> tuple[Any, ...]:
    m = path.market
    at = len(path.prices) - 1 - ago
    ts, opened_at = now - ago * MINUTE, now - opened[0] * MINUTE
    move = path.move_pp(minutes, ago) or 0.0
    direction = "up" if opened[1] > 0 else "down"
    episode = event_id(path.market_id, window, direction, int(opened_at.timestamp()))
    identity = (episode, event_id(episode, state), state, "settlement" if path.is_settling else "move", m.venue)
    what = (path.market_id, path.token_id, m.title, m.category, f"https://example.com/{m.ticker}", window, direction)
    prices = (_dec(float(path.prices[at])), _dec(float(path.prices[at - minutes])), move, opened[1], THRESHOLD_PP)
    tail = (_score(move, m.volume_24h_usd), m.volume_24h_usd, _dec(path.spread), int(m.ends_in_h * 3600))
    reason = ("rolled_off" if state == "closed" else None, "v1", "default", [window], "medium")
    why = (f"abs_move_pp {abs(opened[1]):.1f} >= {THRESHOLD_PP:g}", ["two_sided", "basis"], ["dollars"])
    return (*identity, *what, opened_at, ts, ts, *prices, *tail, path.crosses_gap(minutes, ago), *reason, *why)


def _insert_feed_status(client: Client, now: datetime) -> None:
    columns = _names(
        "venue shard state ts ts_received detail markets_tracked markets_stale ticks_published bad_messages "
        "gap_started clock_skew_ms event_id"
    )
    began, ended = now - GAP_MINUTES[-1] * MINUTE, now - GAP_MINUTES[0] * MINUTE
    states = [
        ("kalshi", "gap_opened", began, "No answer from the venue", began),
        ("kalshi", "gap_closed", ended, "Answers again", began),
        ("kalshi", "connected", now - timedelta(seconds=20), "Sweep complete", None),
        ("polymarket", "connected", now - timedelta(seconds=15), "Sweep complete", None),
    ]
    rows = [
        (venue, "all", state, ts, ts, detail, 17, 0, 9_000, 2, gap, 12.0, event_id(venue, state, str(ts)))
        for venue, state, ts, detail, gap in states
    ]
    _insert(client, "feed_status", columns, rows)


def _insert_pairs(client: Client, now: datetime) -> None:
    """One pair that was confirmed, and one that was and is no more."""
    columns = _names("market_a market_b verdict confidence note looked_back_h steps answered b_after_a_s ts")
    rows = [
        (*PAIR, "confirmed", 0.84, "same [rules]", 24.0, 6, 4, 7.5, now - 5 * MINUTE),
        (*NO_PAIR, "confirmed", 0.8, "", 24.0, 0, 0, None, now - 50 * MINUTE),
        (*NO_PAIR, "refused", 0.8, "other source", 24.0, 0, 0, None, now - 5 * MINUTE),
    ]
    _insert(client, "market_pairs", columns, rows)


def main() -> None:
    """Fills the warehouse at --port."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--history-min", type=int, default=26 * 60)
    arguments = parser.parse_args()
    client = connect(ClickHouseSettings(clickhouse_port=arguments.port), client_name="seed", role="write")
    paths = seed(client, history_min=arguments.history_min)
    print(f"{len(paths)} markets seeded")


if __name__ == "__main__":
    main()
