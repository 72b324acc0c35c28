"""What the store has kept, as ticks: a tape of one's own markets, without a file."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from kernel.clickhouse import connect
from kernel.errors import UserError
from kernel.settings import ClickHouseSettings
from movers.backtest.tapes import Recording
from schemas.events import Tick
from schemas.units import US_PER_S, event_id

# A price is a narrow decimal, which its parts per million would overflow.
_COLUMNS = """
    toUnixTimestamp64Micro(ts) AS ts_us, toString(market_id) AS market, token_id, toString(venue) AS venue_name,
    toInt64(toDecimal64(price, 6) * 1000000) AS price_ppm, toString(price_basis) AS basis,
    toInt64(toDecimal64(bid, 6) * 1000000) AS bid_ppm, toInt64(toDecimal64(ask, 6) * 1000000) AS ask_ppm,
    toInt64(toDecimal64(last, 6) * 1000000) AS last_ppm, volume_24h_usd, volume_total_usd, volume_total_contracts,
    trades, toString(market_status) AS status, if(source = 'backfill', 'backfill', 'stream') AS origin
"""
_SPAN = """
FROM snapshots
WHERE (isNull({from_us:Nullable(Int64)}) OR ts >= fromUnixTimestamp64Micro(assumeNotNull({from_us:Nullable(Int64)})))
  AND (isNull({to_us:Nullable(Int64)}) OR ts <= fromUnixTimestamp64Micro(assumeNotNull({to_us:Nullable(Int64)})))
"""
TICKS = f"SELECT {_COLUMNS} {_SPAN} ORDER BY toStartOfHour(ts), ts, token_id"
"""In order of time. The table stands in order of the hour: said so, the store sorts one hour at a time."""

_FACTS = f"""
SELECT market_id, toString(category), toUnixTimestamp64Micro(close_ts)
FROM markets FINAL
WHERE market_id IN (SELECT market_id {_SPAN})
"""  # noqa: S608  our words; what is asked for comes as parameters
_INSTANTS = f"SELECT DISTINCT toUnixTimestamp64Micro(toStartOfSecond(ts)) {_SPAN}"


def read(settings: ClickHouseSettings, from_us: int | None, to_us: int | None, warm_up_us: int) -> Recording:
    """The ticks of a span and of the `warm_up_us` before it, or all that is kept.

    A market's end and category are those that were told last: the store keeps no earlier ones.

    Raises:
        UserError: nothing is kept of that span.
    """
    span = {"from_us": None if from_us is None else max(0, from_us - warm_up_us), "to_us": to_us}
    client = connect(settings, client_name="backtest", role="read")
    instants = [at for (at,) in client.query(_INSTANTS, parameters=span).result_rows]
    if not instants or max(instants) + US_PER_S <= (from_us or 0):
        client.close()
        raise UserError("the store keeps no ticks of that time")
    facts = client.query(_FACTS, parameters=span).result_rows
    ends_us = {market: close_us for market, _, close_us in facts}

    def ticks() -> Iterator[Tick]:
        try:
            with client.query_rows_stream(TICKS, parameters=span) as rows:
                names = rows.source.column_names
                for row in rows:
                    yield _tick(dict(zip(names, row, strict=True)), ends_us)
        finally:
            client.close()

    assumed = ["markets' ends and categories as last told"] if facts else []
    return Recording(ticks(), instants, assumed, {market: category for market, category, _ in facts})


def _tick(row: Mapping[str, Any], ends_us: Mapping[str, int | None]) -> Tick:
    return Tick(
        event_id=event_id(row["market"], row["ts_us"]),
        venue=row["venue_name"],
        market_id=row["market"],
        token_id=row["token_id"],
        ts_event_us=row["ts_us"],
        ts_received_us=row["ts_us"],
        ts_event_basis="venue",
        source=row["origin"],
        bid_ppm=row["bid_ppm"],
        ask_ppm=row["ask_ppm"],
        last_ppm=row["last_ppm"],
        price_ppm=row["price_ppm"],
        price_basis=row["basis"],
        volume_24h_usd=row["volume_24h_usd"],
        volume_total_usd=row["volume_total_usd"],
        volume_total_contracts=row["volume_total_contracts"],
        trades=row["trades"],
        market_status=row["status"],
        close_ts_us=ends_us.get(row["market"]),
        heartbeat_s=0,
        flags=(),
    )
