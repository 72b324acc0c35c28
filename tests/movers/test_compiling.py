"""Compiled and interpreted are the same code: equal byte for byte, outputs and state."""

from __future__ import annotations

import subprocess
import sys

import pytest

from movers import compiling
from schemas import compiled
from tests.stack.processes import child_environment

TICKS = 20_000

_SCRIPT = f"""
import hashlib
from bench.house_ticks import house_ticks
from processors.analytics import windows
from processors.analytics.rules import Rule
from processors.analytics.windows import WindowPlan
from processors.analytics_app import make_step
from processors.titles import UNKNOWN
from schemas.codec import Codec
from schemas.events import Tick
from schemas.topics import TICKS
from tests.processors.test_step import SchemasInMemory

store = SchemasInMemory()
codec = Codec(TICKS, store, Tick)
step = make_step(store, WindowPlan((300, 900, 3600, 86400)), (Rule(min_volume_24h_usd=0.0),), lambda market: UNKNOWN)
state, digest = {{}}, hashlib.sha256()
for count, tick in enumerate(house_ticks(200, 200)):
    if count == {TICKS}:
        break
    result = step(codec.encode(tick), state.get(tick.market_id, (None,) * 4))
    state[tick.market_id] = result.remember
    for part in (*[value for _, value in result.outputs], *result.remember):
        digest.update(part or b"-")
print(windows.__file__.endswith(".py"), digest.hexdigest())
"""


def outcome(**environment: str) -> tuple[str, str]:
    done = subprocess.run(
        [sys.executable, "-c", _SCRIPT],
        env=child_environment(environment),
        cwd=compiled.ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    interpreted, digest = done.stdout.split()
    return interpreted, digest


@pytest.mark.skipif(compiled.folder() is None, reason=compiling.why_not() or "not compiled here; `movers compile` does")
def test_compiled_and_interpreted_give_the_same_outputs_and_state() -> None:
    compiled_ones, plain_ones = outcome(), outcome(MOVERS_INTERPRETED="1")

    assert (compiled_ones[0], plain_ones[0]) == ("False", "True")
    assert compiled_ones[1] == plain_ones[1]


def test_another_source_does_not_find_what_was_compiled_from_this_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compiled, "digest", lambda: "0" * 16)

    assert compiled.folder.__wrapped__() is None


def test_a_machine_without_a_compiler_is_told_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda name: None)

    assert compiling.why_not().startswith("there is no C compiler")
