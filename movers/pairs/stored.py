"""Pairs out of what the store has kept: candidates among listed markets, and how confirmed pairs go together."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from kernel.errors import UserError
from kernel.settings import Settings
from movers import store
from movers.pairs import together, verdicts
from movers.pairs.match import Listing, candidates
from movers.pairs.together import Quote
from movers.pairs.verdicts import Key, Said, Verdict, key_of
from movers.store import Row
from schemas.units import PPM, US_PER_S
from sinks.clickhouse.along import AROUND_US, MAX_AGE_US, Series, Step, begin_us, other_venue
from sinks.clickhouse.told import first_told

LISTINGS = """
SELECT market_id, toString(venue) AS venue, title, if(outcome IN ('Yes', 'No'), '', outcome) AS outcome,
    toUnixTimestamp64Micro(close_ts) AS close_us
FROM markets FINAL
LEFT JOIN (SELECT market_id, outcome FROM market_tokens FINAL WHERE outcome_index = 0) AS token USING market_id
"""
"""A `Listing` a row; to be followed by which markets."""
_QUOTES = """
SELECT toString(market_id) AS market, toUnixTimestamp64Micro(ts) AS ts_us,
    toInt64(toDecimal64(bid, 6) * 1000000) AS bid_ppm, toInt64(toDecimal64(ask, 6) * 1000000) AS ask_ppm,
    toString(price_basis) = 'mid' AS is_mid
FROM snapshots
WHERE market_id IN {markets:Array(String)} AND ts >= fromUnixTimestamp64Micro({from_us:Int64}) AND source != 'backfill'
ORDER BY market, ts
"""
_ALERTS = f"""
SELECT episode.market_id AS market_id, title, toString(state) AS state, toString(direction) AS direction, peak_move_pp,
    episode.opened_at AS opened_at, toUnixTimestamp64Micro(opened_at) AS opened_us, told.window_s AS window_s,
    toInt64(toDecimal64(told.price_now - told.price_then, 6) * 1000000) AS size_ppm
FROM alert_episodes AS episode
INNER JOIN ({first_told("alerts.market_id IN {markets:Array(String)}")}) AS told ON told.alert_id = episode.alert_id
WHERE episode.market_id IN {{markets:Array(String)}}
  AND episode.opened_at >= fromUnixTimestamp64Micro({{from_us:Int64}}) AND size_ppm != 0
ORDER BY opened_at DESC
"""  # noqa: S608  our words; what is asked for comes as parameters


def suggested(settings: Settings, file: Path, least: float) -> list[Row]:
    """Candidates of which nobody has said anything, the surest first."""
    said = verdicts.read(file)
    listings = [Listing(**row) for row in store.query(settings, f"{LISTINGS} WHERE status = 'open'")]
    return [
        {
            "confidence": one.confidence,
            "market_a": one.a.market_id,
            "market_b": one.b.market_id,
            "title_a": one.a.title,
            "title_b": one.b.title,
        }
        for one in candidates(listings, least)
        if key_of(one.a.market_id, one.b.market_id) not in said
    ]


def say(file: Path, verdict: Verdict, a: str, b: str, note: str) -> None:
    """Notes a verdict in the file, the note as one line: a carriage return in it would be the end of a row.

    Raises:
        UserError: it is one market, or the file cannot be read or written.
    """
    if a == b:
        raise UserError("a pair is two markets")
    verdicts.write(file, verdicts.read(file) | {key_of(a, b): Said(verdict, " ".join(note.split()))})


def shown(settings: Settings, file: Path, hours: float) -> list[Row]:
    """Each confirmed pair: newest quotes with their age, divergence now and an hour ago, steps, answers, lag."""
    pairs, now_us = _confirmed(file), time.time_ns() // 1000
    quotes = quotes_of(settings, pairs, now_us - round(hours * 3600 * US_PER_S))
    return [_row(a, b, quotes[a], quotes[b], now_us) for a, b in pairs]


def alerts(settings: Settings, file: Path, hours: float) -> list[Row]:
    """Alerts of confirmed pairs' markets: whether the other venue went along, and how many seconds later.

    None while it has not and its quarter of an hour is not over, and where it was not quoted.
    """
    pairs, now_us = _confirmed(file), time.time_ns() // 1000
    from_us = now_us - round(hours * 3600 * US_PER_S)
    other = dict(pairs) | {b: a for a, b in pairs}
    told = store.query(settings, _ALERTS, {"markets": sorted(other), "from_us": from_us})
    starts_us = [begin_us(alert["opened_us"], alert["window_s"]) for alert in told]
    quotes = quotes_of(settings, pairs, min(starts_us, default=now_us) - MAX_AGE_US)
    series = {market: series_of(quotes[market]) for market in other}
    rows: list[Row] = []
    for alert, start_us in zip(told, starts_us, strict=True):
        step = Step(alert["opened_us"], alert["size_ppm"])
        is_over = now_us >= step.ts_us + AROUND_US
        went, after_s = other_venue(series[other[alert["market_id"]]], step, start_us, is_over=is_over)
        shown = {
            name: alert[name] for name in ("opened_at", "market_id", "direction", "peak_move_pp", "state", "title")
        }
        rows.append({**shown, "other_venue_confirms": went, "other_venue_after_s": after_s})
    return rows


def _confirmed(file: Path) -> list[Key]:
    found = verdicts.confirmed(verdicts.read(file))
    if not found:
        raise UserError(f"{file} names no confirmed pair; `movers pairs suggest` finds candidates, `confirm` notes one")
    return found


def quotes_of(settings: Settings, pairs: Iterable[Key], from_us: int) -> Mapping[str, Sequence[Row]]:
    """All quotes of the pairs' markets from an instant on, in order of time, by market; a venue's figure is none."""
    found: dict[str, list[Row]] = defaultdict(list)
    markets = sorted({market for pair in pairs for market in pair})
    for row in store.query(settings, _QUOTES, {"markets": markets, "from_us": from_us}):
        found[row["market"]].append(row)
    return found


def series_of(rows: Sequence[Row]) -> Series:
    """The mids of one market. A price that is a last trade is not compared with them."""
    mids = [(row["ts_us"], (row["bid_ppm"] + row["ask_ppm"]) // 2) for row in rows if row["is_mid"]]
    return Series([ts_us for ts_us, _ in mids], [mid_ppm for _, mid_ppm in mids])


def _row(a: str, b: str, rows_a: Sequence[Row], rows_b: Sequence[Row], now_us: int) -> Row:
    went = together.together(series_of(rows_a), series_of(rows_b))
    now, before = _apart(rows_a, rows_b, now_us), _apart(rows_a, rows_b, now_us - 3600 * US_PER_S)
    return {
        "market_a": a,
        "market_b": b,
        **_newest(rows_a, now_us, "a"),
        **_newest(rows_b, now_us, "b"),
        "apart_pp": None if now is None else now.apart_pp,
        "apart_pp_1h_ago": None if before is None else before.apart_pp,
        "quotes_cross_pp": None if now is None else now.crossed_pp,
        "older_quote_s": None if now is None else round(now.older_s, 1),
        "steps": went.steps,
        "answered": went.answered,
        "b_after_a_s": went.lag_s,
    }


def _apart(rows_a: Sequence[Row], rows_b: Sequence[Row], at_us: int) -> together.Divergence | None:
    a, b = _quote(rows_a, at_us), _quote(rows_b, at_us)
    return None if a is None or b is None else together.divergence(a, b, at_us)


def _quote(rows: Sequence[Row], at_us: int) -> Quote | None:
    row = next((row for row in reversed(rows) if row["ts_us"] <= at_us), None)
    return None if row is None else Quote(row["ts_us"], row["bid_ppm"], row["ask_ppm"], row["is_mid"])


def _newest(rows: Sequence[Row], now_us: int, name: str) -> Row:
    quote = _quote(rows, now_us)
    if quote is None:
        return {f"bid_{name}": None, f"ask_{name}": None, f"age_{name}_s": None}
    bid, ask = (None if ppm is None else ppm / PPM for ppm in (quote.bid_ppm, quote.ask_ppm))
    return {f"bid_{name}": bid, f"ask_{name}": ask, f"age_{name}_s": round((now_us - quote.ts_us) / US_PER_S, 1)}
