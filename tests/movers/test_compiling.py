"""The fast way and the plain one give the same: equal byte for byte, outputs and state.

The fast way is compiled where it has been compiled, else interpreted with the codecs written from the `.avsc`; the
plain one is interpreted with fastavro. `MOVERS_EQUALITY_TICKS=1000000` compares so many ticks instead of 20,000.
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


def outcome(**environment: str) -> tuple[str, str, str]:
    """Whether plain source ran, how many ticks it took, and the digest of all it gave."""
    done = subprocess.run(
        [sys.executable, "-c", _SCRIPT],
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


def test_another_source_does_not_find_what_was_compiled_from_this_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compiled, "digest", lambda: "0" * 16)

    assert compiled.folder.__wrapped__() is None


def test_a_machine_without_a_compiler_is_told_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda name: None)

    assert compiling.why_not().startswith("there is no C compiler")
