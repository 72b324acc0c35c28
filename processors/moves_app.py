"""ticks → moves: how far each market has moved over each window."""

from __future__ import annotations

from collections.abc import Sequence

from kernel.process import living
from kernel.settings import Settings
from processors import quix
from processors.analytics.moves import is_late, update
from processors.analytics.windows import History, WindowPlan
from processors.step import Remembered, Result, Step
from schemas.codec import Codec, SchemaStore
from schemas.events import Move, Tick
from schemas.topics import MOVES, TICKS

STAGE = quix.Stage(name="moves", input=TICKS, output=MOVES, state_keys=("head", "body"))


def make_step(store: SchemaStore, windows_s: Sequence[int]) -> Step:
    """The step of this processor; its state is a market's `History`."""
    ticks, moves = Codec(TICKS, store, Tick), Codec(MOVES, store, Move)
    plan = WindowPlan(windows_s)

    def step(value: bytes, remembered: Remembered) -> Result:
        tick = ticks.decode(value)
        head, body = remembered
        history = None if head is None else History.unpack(head, body)
        if is_late(history, tick):
            return Result(tick, (), remembered, late=True)
        history, move = update(history, tick, plan)
        outputs = () if move is None else (moves.encode(move),)
        return Result(tick, outputs, (None, None) if history is None else history.pack())

    return step


def run(settings: Settings) -> None:
    """Runs the processor until it is told to stop. Main thread only; see `processors.quix.run` for what it raises."""
    with living("process-moves", settings.process) as process:
        quix.run(STAGE, lambda registry: make_step(registry, settings.rules.windows), settings, process)
