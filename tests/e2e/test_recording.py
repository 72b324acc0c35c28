"""A tape of both venues through the whole product: nothing lost, nothing doubled, every number right.

Played twice: a tape made up here, and, where `../shared` stands beside the checkout, a real recording of each venue.
A run plays in lockstep; in its middle the simulated venues are held while a producer, a processor and the sink are
killed with -9. What is stored afterwards is compared with a computation from the tape, or the recordings, alone.
"""

from __future__ import annotations

import contextlib
import dataclasses
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from clickhouse_connect.driver.client import Client

from kernel.kafka.readers import read_to_end, watermarks
from kernel.schema_registry import SchemaRegistry
from schemas.codec import Codec
from schemas.events import Alert, Move
from schemas.topics import ALERTS, MOVES, TICKS
from simulator.tape import write_tape
from tests.e2e import reference
from tests.e2e.demo import Demo
from tests.e2e.sources import SNAPSHOTS, Source, assert_stored_exactly_once, made, recorded
from tests.payloads import HAS_RECORDED
from tests.stack.processes import kafka_at

pytestmark = [pytest.mark.stack, pytest.mark.timeout(900)]

SETTINGS = {
    "ALERT_THRESHOLD_PP": "6",
    "ALERT_COOLDOWN_S": "900",
    "MIN_VOLUME_24H": "1000",
    "MIN_WINDOW_USD": "0",
    "MAX_SPREAD_PP": "5",
    # A tape's moments lie further apart than a live venue's sweeps: what is between them is no gap.
    "COLLECTOR_PRICE_INTERVAL": "600",
}
RULE = {"threshold_pp": 6, "cooldown_s": 900, "min_volume": 1000, "max_spread_pp": 5}


@dataclasses.dataclass
class Replay:
    """What a run left behind."""

    snapshots: pd.DataFrame
    moves: list[dict[str, Any]]
    latest: list[dict[str, Any]]
    cache: list[dict[str, Any]]
    alerts: list[dict[str, Any]]
    stored_alerts: pd.DataFrame
    titles: dict[str, str]
    dead_letters: int
    restarts: dict[str, int]


@pytest.fixture(scope="module", params=["made", *(["recorded"] if HAS_RECORDED else [])])
def source(request: pytest.FixtureRequest) -> Source:
    """The tape that is played."""
    return made() if request.param == "made" else recorded()


@pytest.fixture(scope="module")
def replay(source: Source, repo_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Replay:
    """Plays the tape once, with kills; the tests look at what it left."""
    home = tmp_path_factory.mktemp("recording run") / "home"
    tape = home.with_name("both.tape.gz")
    write_tape(tape, source.lines, note="both venues")
    arguments = ("--tape", str(tape), "--lockstep")
    with Demo(home, repo_dir / ".movers" / "cache", *arguments, env=SETTINGS) as demo:
        demo.wait_started()
        _kill_in_the_middle(demo, source.kalshi_moments)
        demo.wait_drained()
        return _collect(demo)


def _kill_in_the_middle(demo: Demo, moments: int) -> None:
    """Holds the tape, so that the moment seen before the kill can be seen again after it, as a quiet venue's would."""
    demo.until(lambda: _served(demo)["kalshi"] > moments // 4, 120, "a quarter of the tape")
    demo.simulator("/simulator/hold", {"hold": True})
    demo.until(lambda: min(_status(demo)["sweeps_of_moment"].values()) >= 2, 60, "the held moment to be swept twice")
    demo.until(_stands_still(demo, TICKS.name), 60, "Kafka to have all that was shown")
    for name in ("produce-kalshi", "produce-polymarket", "process-analytics", "sink-clickhouse"):
        demo.kill(name)
    demo.simulator("/simulator/hold", {"hold": False})
    # The rest dies while data flow: these stand on Kafka, so they may.
    demo.until(lambda: _served(demo)["kalshi"] > moments // 2, 120, "half of the tape")
    for name in ("process-analytics", "sink-clickhouse"):
        demo.kill(name)


def _stands_still(demo: Demo, topic: str, for_s: float = 3.0) -> Callable[[], bool]:
    """Whether nothing has come for a while: a killed collector takes with it what Kafka has not acknowledged."""
    kafka = kafka_at(demo.env["KAFKA_BOOTSTRAP_SERVERS"])
    seen = (watermarks(kafka, topic), time.monotonic())

    def stands_still() -> bool:
        nonlocal seen
        ends = watermarks(kafka, topic)
        if ends != seen[0]:
            seen = (ends, time.monotonic())
        return time.monotonic() - seen[1] > for_s

    return stands_still


def _status(demo: Demo) -> dict[str, Any]:
    return demo.simulator("/simulator/status")


def _served(demo: Demo) -> dict[str, int]:
    served: dict[str, int] = _status(demo)["moments_served"]
    return served


def _collect(demo: Demo) -> Replay:
    registry = SchemaRegistry(demo.env["SCHEMA_REGISTRY_URL"])
    client = demo.clickhouse()
    with contextlib.closing(registry), contextlib.closing(client):
        return _read(demo, registry, client)


def _read(demo: Demo, registry: SchemaRegistry, client: Client) -> Replay:
    def records(sql: str) -> list[dict[str, Any]]:
        return list(client.query(sql).named_results())

    bootstrap = demo.env["KAFKA_BOOTSTRAP_SERVERS"]
    move_codec, alert_codec = Codec(MOVES, registry, Move), Codec(ALERTS, registry, Alert)
    moves = {m.event_id: m for m in (move_codec.decode(x.value()) for x in read_to_end(kafka_at(bootstrap), "moves"))}
    alerts = {
        a.event_id: a for a in (alert_codec.decode(x.value()) for x in read_to_end(kafka_at(bootstrap), "alerts"))
    }
    titles = client.query("SELECT market_id, title FROM markets FINAL").result_rows
    return Replay(
        snapshots=client.query_df(SNAPSHOTS),
        moves=[dataclasses.asdict(m) for m in sorted(moves.values(), key=lambda m: (m.market_id, m.ts_event_us))],
        latest=records(
            "SELECT window, token_id, toUnixTimestamp64Micro(ts) AS ts_us, move_pp FROM movers_latest FINAL"
        ),
        cache=records(
            "SELECT window, token_id, toUnixTimestamp64Micro(ts) AS ts_us, toFloat64(price_now) AS price_now, "
            "toFloat64(price_then) AS price_then, move_pp, abs_move_pp, score, volume_24h_usd "
            "FROM movers_cache FINAL"
        ),
        alerts=[dataclasses.asdict(a) for a in alerts.values()],
        stored_alerts=client.query_df("SELECT toString(event_id) AS event_id FROM alerts FINAL"),
        titles={str(market_id): str(title) for market_id, title in titles},
        dead_letters=sum(1 for _ in read_to_end(kafka_at(bootstrap), "dead.letters")),
        restarts={child["name"]: child["restarts"] for child in demo.state["processes"]},
    )


def test_every_market_and_moment_is_stored_exactly_once(replay: Replay, source: Source) -> None:
    assert_stored_exactly_once(replay.snapshots, replay.titles, source)


def test_every_stored_quote_and_price_is_the_recorded_one(replay: Replay, source: Source) -> None:
    stored = replay.snapshots
    kalshi = stored[stored["venue"] == "kalshi"].copy()
    kalshi["market"] = kalshi["market_id"].str.removeprefix("KALSHI:")
    polymarket = stored[stored["venue"] == "polymarket"].copy()
    polymarket["market"] = polymarket["market_id"].map(replay.titles)

    for got, expected, columns in (
        (kalshi, source.kalshi, ["bid", "ask", "price"]),
        (polymarket, source.polymarket, ["price"]),
    ):
        got = got.set_index(["market", "moment"]).sort_index()[columns].astype(float)
        np.testing.assert_allclose(got.to_numpy(), expected.sort_index()[columns].to_numpy(), atol=1e-6)


def test_every_move_is_what_brute_force_gives(replay: Replay) -> None:
    compared, exact = 0, 0
    states = reference.states(replay.snapshots)
    for market_id, moves in _by_market(replay.moves):
        for move in moves:
            if move["price_ppm"] is None:
                continue
            now = reference.State(move["ts_event_us"], move["price_ppm"], move["price_basis"])
            for window in move["windows"]:
                allowed = reference.as_of(states[market_id], now.ts_us, window["window_s"])
                got = (window["price_then_ppm"], window["move_pp"])
                if not allowed:
                    assert got == (None, None)
                    assert window["coverage_s"] < window["window_s"]
                    continue
                expected = [(then.price_ppm, reference.move_pp(then, now)) for then in allowed]
                assert got in expected
                compared += 1
                exact += got == expected[-1]
    assert compared > 5_000
    assert exact / compared > 0.99


def test_there_is_a_move_for_every_priced_snapshot(replay: Replay) -> None:
    priced = replay.snapshots[replay.snapshots["price"].notna()]

    expected = set(zip(priced["token_id"], priced["ts_us"], (priced["price"] * 1e6).round().astype(int), strict=True))
    got = {(m["token_id"], m["ts_event_us"], m["price_ppm"]) for m in replay.moves if m["price_ppm"] is not None}

    assert got == expected


def test_stored_movers_are_moves(replay: Replay) -> None:
    labels = {300: "5m", 900: "15m", 3600: "1h", 86400: "24h"}
    moves = {
        (labels[w["window_s"]], m["token_id"], m["ts_event_us"]): (m["price_ppm"], w)
        for m in replay.moves
        for w in m["windows"]
    }
    newest = {m["token_id"]: m["ts_event_us"] for m in replay.moves}

    for row in replay.latest:
        _, window = moves[row["window"], row["token_id"], row["ts_us"]]
        assert row["ts_us"] == newest[row["token_id"]]
        assert row["move_pp"] == window["move_pp"]
    assert len(replay.latest) == 4 * len(newest)
    assert len(replay.cache) > 50
    for row in replay.cache:
        price_ppm, window = moves[row["window"], row["token_id"], row["ts_us"]]
        assert round(float(row["price_now"]) * 1e6) == price_ppm
        assert round(float(row["price_then"]) * 1e6) == window["price_then_ppm"]
        assert row["move_pp"] == window["move_pp"]
        assert row["abs_move_pp"] == abs(window["move_pp"])
        assert row["score"] == pytest.approx(abs(window["move_pp"]) * np.log1p(row["volume_24h_usd"]))


def test_every_alert_follows_from_the_written_rule(replay: Replay) -> None:
    expected = {t for _, moves in _by_market(replay.moves) for t in reference.alerts(moves, RULE)}

    got = {
        (
            a["market_id"],
            a["direction"],
            a["opened_at_us"],
            a["state"],
            a["ts_event_us"],
            a["close_reason"],
            a["windows_s"],
        )
        for a in replay.alerts
    }

    assert got == expected
    assert {t[3] for t in expected} >= {"detected", "confirmed", "closed"}
    assert set(replay.stored_alerts["event_id"]) == {a["event_id"] for a in replay.alerts}


def test_the_killed_processes_were_restarted_and_nothing_was_refused(replay: Replay) -> None:
    assert replay.restarts["sink-clickhouse"] >= 2
    assert replay.restarts["process-analytics"] >= 2
    assert replay.restarts["produce-kalshi"] >= 1
    assert replay.dead_letters == 0


def _by_market(moves: list[dict[str, Any]]) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    groups: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for move in moves:
        groups[move["market_id"]].append(move)
    yield from groups.items()
