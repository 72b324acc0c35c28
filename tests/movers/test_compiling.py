"""The fast way and the plain one give the same: equal byte for byte, outputs and state.

The fast way is compiled where it has been compiled, else interpreted with the codecs written from the `.avsc`; the
plain one is interpreted with fastavro. `MOVERS_EQUALITY_TICKS=1000000` compares so many ticks instead of 20,000, and
`MOVERS_EQUALITY_FRAMES` so many mutated frames of each venue instead of 5,000.
"""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from movers import compiling
from schemas import compiled
from tests.stack.processes import child_environment

TICKS = int(os.environ.get("MOVERS_EQUALITY_TICKS", "20000"))
FRAMES = int(os.environ.get("MOVERS_EQUALITY_FRAMES", "5000"))
MARKETS = 200

_SCRIPT = f"""
import hashlib
from bench.house_ticks import house_ticks
from processors.analytics import windows
from processors.analytics.rules import Rule
from processors.analytics.windows import WindowPlan
from processors.analytics_app import NOTHING, make_step, pack
from processors.titles import UNKNOWN
from schemas.codec import Codec
from schemas.events import Tick
from schemas.topics import TICKS
from tests.processors.test_step import SchemasInMemory

store = SchemasInMemory()
codec = Codec(TICKS, store, Tick)
step = make_step(store, WindowPlan((300, 900, 3600, 86400)), (Rule(min_volume_24h_usd=0.0),), lambda market: UNKNOWN)
state, digest = {{}}, hashlib.sha256()
for count, tick in enumerate(house_ticks({MARKETS}, {TICKS} // {MARKETS} * 2 + 200)):
    if count == {TICKS}:
        break
    result = step(codec.encode(tick), state.get(tick.market_id, NOTHING))
    state[tick.market_id] = result.known
    for part in (*[value for _, value in result.outputs], *pack(result.known)):
        digest.update(part or b"-")
print(windows.__file__.endswith(".py"), count, digest.hexdigest())
"""

_FRAMES_SCRIPT = f"""
import hashlib
from producers.changes import topped, traded
from producers.facts import Top, Traded
from producers.polymarket import frames
from producers.quotes import quote
from producers.ticks import Moment, Shown, tick_of
from tests.producers.test_frame_fuzz import VENUES, fuzz

count, digest = 0, hashlib.sha256()
shown = Shown(market_id="V:1", token_id="V:2", quote=quote(1, 2, 3), market_status="open", volume_total_usd=1.5)
moment = Moment(as_of_us=5, ts_received_us=6, ts_event_basis="venue", source="stream", heartbeat_s=60)
for venue in VENUES:
    for facts in fuzz(venue, {FRAMES}, 7):
        count += 1
        for fact in facts.facts:
            if isinstance(fact, Top):
                shown = topped(shown, fact)
            elif isinstance(fact, Traded):
                shown = traded(shown, fact)
            digest.update(repr((tuple(fact), tick_of("v", shown, moment, count))).encode())
        told = (facts.heard, facts.opened, facts.doubts, facts.missed, facts.acks, facts.left_out)
        digest.update(repr((told, [(error.reason, error.detail, error.body) for error in facts.bad])).encode())
print(frames.__file__.endswith(".py"), count, digest.hexdigest())
"""

_ROWS_SCRIPT = """
import hashlib
from dataclasses import replace
from kernel.errors import BadMessageError
from sinks.clickhouse import rows
from sinks.clickhouse.checks import LIMIT_PPM, LIMIT_US, check_storable
from tests.sinks.events import a_bar, a_market, a_move, a_status, a_tick, a_window, an_alert

EDGES = (0, -1, 1 << 32, (1 << 32) - 1, 1 << 63, (1 << 63) - 1, LIMIT_PPM, 1 - LIMIT_PPM, LIMIT_US, LIMIT_US - 1)
WAYS = (
    (a_tick(), lambda tick: rows.tick_row(tick, 1, 1 << 40)),
    (a_move(windows=(a_window(300), a_window(7, move_pp=-2.5))), lambda move: rows.move_rows([move])),
    (a_bar(), rows.bar_row),
    (a_market(), lambda market: (rows.market_row(market), rows.market_token_rows(market))),
    (an_alert(), rows.alert_row),
    (a_status(), rows.feed_status_row),
)
count, digest = 0, hashlib.sha256()
for event, row in WAYS:
    numbers = {name: kind for name, kind in type(event).__annotations__.items() if kind in ("int", "int | None")}
    changed = [{name: edge} for name in numbers for edge in EDGES]
    changed += [{name: None} for name, kind in numbers.items() if kind != "int"]
    for change in ({}, {"venue": "é"}, {"ts_received_us": event.ts_event_us - 60_000_001}, *changed):
        count += 1
        try:
            check_storable(made := replace(event, **change))
            told = row(made)
        except BadMessageError as error:
            told = (error.reason, error.detail)
        digest.update(repr(told).encode())
print(rows.__file__.endswith(".py"), count, digest.hexdigest())
"""


def outcome(script: str = _SCRIPT, **environment: str) -> tuple[str, str, str]:
    """Whether plain source ran, how many ticks or frames it took, and the digest of all it gave."""
    done = subprocess.run(
        [sys.executable, "-c", script],
        env=child_environment(environment),
        cwd=compiled.ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    interpreted, count, digest = done.stdout.split()
    return interpreted, count, digest


@pytest.mark.timeout(3600)
def test_the_fast_way_and_the_plain_one_give_the_same_outputs_and_state() -> None:
    fast, plain = outcome(), outcome(MOVERS_INTERPRETED="1")

    assert fast[0] == str(compiled.folder() is None), compiling.why_not()
    assert plain[0] == "True"
    assert fast[1] == plain[1] == str(TICKS)
    assert fast[2] == plain[2]


@pytest.mark.timeout(3600)
def test_frames_however_broken_tell_the_same_compiled_and_interpreted_down_to_the_words_of_a_refusal() -> None:
    fast, plain = outcome(_FRAMES_SCRIPT), outcome(_FRAMES_SCRIPT, MOVERS_INTERPRETED="1")

    assert fast[0] == str(compiled.folder() is None), compiling.why_not()
    assert plain[0] == "True"
    assert fast[1] == plain[1]
    assert int(plain[1]) >= 3 * FRAMES
    assert fast[2] == plain[2]


def test_rows_and_refusals_of_the_sink_are_the_same_compiled_and_interpreted_to_the_edge_of_every_column() -> None:
    fast, plain = outcome(_ROWS_SCRIPT), outcome(_ROWS_SCRIPT, MOVERS_INTERPRETED="1")

    assert fast[0] == str(compiled.folder() is None), compiling.why_not()
    assert plain[0] == "True"
    assert fast[1:] == plain[1:]
    assert int(plain[1]) > 500


def test_another_source_does_not_find_what_was_compiled_from_this_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compiled, "digest", lambda: "0" * 16)

    assert compiled.folder.__wrapped__() is None


def test_a_machine_without_a_compiler_is_told_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda name: None)

    assert compiling.why_not().startswith("there is no C compiler")
