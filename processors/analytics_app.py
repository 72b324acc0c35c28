"""ticks → moves, bars, alerts: all that is computed of a market, in one pass over its ticks.

Each part keeps its own state and knows nothing of the others; alerts build on the move of the same tick.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import replace

from kernel.process import Process
from kernel.schema_registry import SchemaRegistry
from kernel.settings import Settings
from processors.analytics import alerts, bars, moves
from processors.analytics.bars import BarState
from processors.analytics.episodes import AlertState
from processors.analytics.rules import Rule
from processors.analytics.windows import History, WindowPlan
from processors.rules_file import rules_in_force
from processors.step import Output, Processor, Remembered, Result, Stage, Step, recalled
from processors.titles import Title, Titles
from schemas.codec import Codec, SchemaStore
from schemas.events import Alert, Bar, Move, Tick
from schemas.topics import ALERTS, BARS, MOVES, TICKS

STAGE = Stage(
    name="analytics",
    input=TICKS,
    outputs=(MOVES, BARS, ALERTS),
    state_keys=("head", "body", "bar", "episodes"),
)

Outputs = tuple[Output, ...]
MovePart = Callable[[Tick, bytes | None, bytes | None], tuple[Move | None, Outputs, bytes | None, bytes | None]]
BarPart = Callable[[Tick, bytes | None], tuple[Outputs, bytes | None]]
AlertPart = Callable[[Move, bytes | None], tuple[Outputs, bytes | None]]


def make_step(store: SchemaStore, plan: WindowPlan, rules: Sequence[Rule], lookup: Callable[[str], Title]) -> Step:
    """The step of this processor; its state is a market's `History` in two parts, its `BarState`, its `AlertState`."""
    ticks = Codec(TICKS, store, Tick)
    moved, barred, alerted = move_part(store, plan), bar_part(store), alert_part(store, rules, lookup)

    def step(value: bytes, remembered: Remembered) -> Result:
        tick = ticks.decode(value)
        head, body, bar, episodes = remembered
        move, outputs, head, body = moved(tick, head, body)
        more, bar = barred(tick, bar)
        outputs += more
        if move is not None:
            more, episodes = alerted(move, episodes)
            outputs += more
        remember = (head, body, bar, episodes)
        return Result(tick, outputs, remember, late=remember == remembered)

    return step


def move_part(store: SchemaStore, plan: WindowPlan) -> MovePart:
    """How far the market has moved; remembers its history in two parts."""
    codec = Codec(MOVES, store, Move)

    def part(
        tick: Tick, head: bytes | None, body: bytes | None
    ) -> tuple[Move | None, Outputs, bytes | None, bytes | None]:
        history = None if head is None else recalled(STAGE.name, "history", History.unpack, head, body)
        if moves.is_late(history, tick):
            return None, (), head, body
        history, move = moves.update(history, tick, plan)
        head, body = (None, None) if history is None else history.pack()
        return move, () if move is None else ((MOVES.name, codec.encode(move)),), head, body

    return part


def bar_part(store: SchemaStore) -> BarPart:
    """The minute's open, high, low and close; remembers the bar that still grows."""
    codec = Codec(BARS, store, Bar)

    def part(tick: Tick, stored: bytes | None) -> tuple[Outputs, bytes | None]:
        state = None if stored is None else recalled(STAGE.name, "bar", BarState.unpack, stored)
        state, bar = bars.update(state, tick)
        return () if bar is None else ((BARS.name, codec.encode(bar)),), None if state is None else state.pack()

    return part


def alert_part(store: SchemaStore, rules: Sequence[Rule], lookup: Callable[[str], Title]) -> AlertPart:
    """Episodes of moves worth telling, with the names of their markets; most of the time nothing is remembered."""
    codec = Codec(ALERTS, store, Alert)
    # A look-up costs more than most moves are worth: it is made for rules that ask, and for what is told.
    asks_category = any(rule.categories for rule in rules)

    def part(move: Move, stored: bytes | None) -> tuple[Outputs, bytes | None]:
        state = None if stored is None else recalled(STAGE.name, "episodes", AlertState.unpack, stored)
        state, made = alerts.update(state, move, rules, lookup(move.market_id).category if asks_category else "")
        outputs: Outputs = ()
        if made:
            title, category, url = lookup(move.market_id)
            told = (replace(a, title=title, category=category, url=url) for a in made)
            outputs = tuple((ALERTS.name, codec.encode(alert)) for alert in told)
        return outputs, None if state is None else state.pack()

    return part


def _start(registry: SchemaRegistry, settings: Settings, process: Process, until_end: ExitStack) -> Step:
    titles = Titles(settings.kafka, registry, settings.process.state_dir / "titles.sqlite")
    until_end.callback(titles.stop)
    titles.start()
    process.add_facts(titles.health)
    plan = WindowPlan(settings.rules.windows, settings.rules.score)
    return make_step(registry, plan, rules_in_force(settings.rules), titles.lookup)


PROCESSOR = Processor(stage=STAGE, start=_start)
