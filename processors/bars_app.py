"""ticks → bars: one-minute open, high, low, close of each market."""

from __future__ import annotations

from kernel.process import living
from kernel.settings import Settings
from processors import quix
from processors.analytics.bars import BarState, is_late, update
from processors.step import Remembered, Result, Step
from schemas.codec import Codec, SchemaStore
from schemas.events import Bar, Tick
from schemas.topics import BARS, TICKS

STAGE = quix.Stage(name="bars", input=TICKS, output=BARS)


def make_step(store: SchemaStore) -> Step:
    """The step of this processor; its state is a market's `BarState`."""
    ticks, bars = Codec(TICKS, store, Tick), Codec(BARS, store, Bar)

    def step(value: bytes, remembered: Remembered) -> Result:
        tick = ticks.decode(value)
        (stored,) = remembered
        before = None if stored is None else BarState.unpack(stored)
        if is_late(before, tick):
            return Result(tick, (), remembered, late=True)
        after, bar = update(before, tick)
        outputs = () if bar is None else (bars.encode(bar),)
        return Result(tick, outputs, (None if after is None else after.pack(),))

    return step


def run(settings: Settings) -> None:
    """Runs the processor until it is told to stop. Main thread only; see `processors.quix.run` for what it raises."""
    with living("process-bars", settings.process) as process:
        quix.run(STAGE, make_step, settings, process)
