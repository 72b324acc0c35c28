"""The smallest processor there can be: ticks → jumps, a bar whenever a price is five points from where it was."""

from __future__ import annotations

from contextlib import ExitStack

from kernel.process import Process
from kernel.schema_registry import SchemaRegistry
from kernel.settings import Settings
from processors.step import Processor, Remembered, Result, Stage, Work
from schemas.codec import Codec
from schemas.events import Bar, Tick
from schemas.topics import TICKS, Topic
from schemas.units import event_id

JUMPS = Topic(name="jumps", subject_file="bars", event=Bar, key="market_id", config={})
STAGE = Stage(name="jumps", input=TICKS, outputs=(JUMPS,), state_keys=("price",))
JUMP_PPM = 50_000


def jump(before_ppm: int, tick: Tick, now_ppm: int) -> Bar:
    """The bar from one price to another (pure)."""
    return Bar(
        event_id=event_id("jump", tick.market_id, tick.ts_event_us),
        venue=tick.venue,
        market_id=tick.market_id,
        token_id=tick.token_id,
        ts_event_us=tick.ts_event_us,
        ts_received_us=tick.ts_received_us,
        bar_start_us=tick.ts_event_us,
        bar_s=0,
        open_ppm=before_ppm,
        high_ppm=max(before_ppm, now_ppm),
        low_ppm=min(before_ppm, now_ppm),
        close_ppm=now_ppm,
        ticks=1,
    )


def start(registry: SchemaRegistry, settings: Settings, process: Process, until_end: ExitStack) -> Work:
    """The work: codecs, and the step over them."""
    ticks, jumps = Codec(TICKS, registry, Tick), Codec(JUMPS, registry, Bar)

    def step(value: bytes, remembered: Remembered) -> Result:
        tick = ticks.decode(value)
        (stored,) = remembered
        if tick.price_ppm is None:
            return Result(tick, (), remembered)
        before_ppm = tick.price_ppm if stored is None else int(stored)
        outputs: tuple[tuple[str, bytes], ...] = ()
        if abs(tick.price_ppm - before_ppm) >= JUMP_PPM:
            outputs = ((JUMPS.name, jumps.encode(jump(before_ppm, tick, tick.price_ppm))),)
        return Result(tick, outputs, (b"%d" % tick.price_ppm,))

    return Work(step)


PROCESSOR = Processor(stage=STAGE, start=start)
