"""A streamed venue's own account of what it told, and what is left of it when all that was published is taken off."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import orjson

from schemas.events import FeedStatus
from schemas.units import PPM, US_PER_S
from simulator.clock import real_now_us
from simulator.tape import Market, Quote, write_tape
from tests.producers.still_venue import conditions
from tests.producers.whole_collector import Published
from tests.simulator.conftest import Running

MARKETS = 40
NAMES = {"polymarket": conditions(MARKETS), "kalshi": [f"KXRAIN-T{number}" for number in range(MARKETS)]}
SLACK_US = 3 * US_PER_S


def tape_of(folder: Path, venue: str) -> Path:
    """Forty markets that stand still, the first the busiest."""
    path = folder / "forty.tape"
    lines: list[Any] = []
    start_us = real_now_us() // US_PER_S * US_PER_S - SLACK_US
    for rank, name in enumerate(NAMES[venue]):
        lines.append(Market(venue=venue, market=name, title=f"Will {rank} happen?", ts_us=start_us))
        volume = 1e6 - 1_000.0 * rank
        lines.append(Quote(start_us, name, 400_000, 420_000, 410_000, volume=volume, volume_24h=volume))
    write_tape(path, lines)
    return path


def our_id(venue: str, name: str) -> str:
    return f"{'POLY' if venue == 'polymarket' else 'KALSHI'}:{name}"


async def keep_account(running: Running) -> None:
    """The venue begins to write down what it tells."""
    async with httpx.AsyncClient(trust_env=False, timeout=60) as client:
        await client.post(f"{running.address}/simulator/ledger", json={"on": True})


async def account(running: Running) -> list[dict[str, Any]]:
    """What it told since."""
    async with httpx.AsyncClient(trust_env=False, timeout=60) as client:
        answer = await client.get(f"{running.address}/simulator/ledger?limit=200000")
        found: list[dict[str, Any]] = answer.json()
        return [row for row in found if row["told"]]


async def play(running: Running, lines: Iterable[dict[str, Any]]) -> None:
    """Lines of a tape, as of now."""
    body = b"\n".join(orjson.dumps({"ts_us": 0, **line}) for line in lines)
    async with httpx.AsyncClient(trust_env=False, timeout=60) as client:
        (await client.post(f"{running.address}/simulator/lines", content=body)).raise_for_status()


class Told(NamedTuple):
    """A word about a gap of the streams, and when that ended by the venue's time."""

    shard: str
    begin_us: int
    end_us: int
    markets: frozenset[str]

    @property
    def is_open(self) -> bool:
        return self.end_us == 2**62


def gaps(out: Published) -> list[Told]:
    """What was told of gaps of the streams."""

    def end_us(opened: FeedStatus) -> int:
        words = (s for s in out.statuses if (s.shard, s.state) == (opened.shard, "gap_closed"))
        words = (s for s in words if s.gap_started_us == opened.gap_started_us)
        return min((s.ts_event_us for s in words if s.ts_received_us >= opened.ts_received_us), default=2**62)

    begins = (s for s in out.statuses if s.state == "gap_opened" and "/" in s.shard)
    return [Told(s.shard, s.gap_started_us or 0, end_us(s), frozenset(s.market_ids)) for s in begins]


def told_since(out: Published, moment_us: int) -> set[str]:
    """The markets of which something was read that the venue told at that moment or later.

    A connection keeps its order: all that the venue told of them before has been read by then.
    """
    return {tick.market_id for tick in out.ticks if tick.source == "stream" and tick.ts_event_us >= moment_us}


def unaccounted(venue: str, ledger: list[dict[str, Any]], out: Published) -> list[dict[str, Any]]:
    """The quotes that were told to somebody, and are neither published nor in a gap that was told of their market."""
    published = {(tick.market_id, tick.bid_ppm, tick.ask_ppm) for tick in out.ticks}
    told = gaps(out)
    found = []
    for row in ledger:
        market_id = our_id(venue, row["market"])
        state = (market_id, _ppm(row["bid"]), _ppm(row["ask"]))
        around = (g for g in told if g.begin_us - SLACK_US <= row["ts_us"] <= g.end_us + SLACK_US)
        if row["kind"] == "quote" and state not in published and not any(market_id in gap.markets for gap in around):
            found.append(row)
    return found


def _ppm(price: float | None) -> int | None:
    return None if price is None else round(price * PPM)
