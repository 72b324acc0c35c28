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
from processors.step import OnTime, Output, Passed, Processor, Remembered, Result, Stage, Step, Work, recalled
from processors.titles import Title, Titles
from schemas.codec import Codec, SchemaStore
from schemas.events import Alert, Bar, Move, Tick
from schemas.topics import ALERTS, BARS, MOVES, TICKS

STAGE = Stage(
    name="analytics",
    input=TICKS,
    outputs=(MOVES, BARS, ALERTS),
    state_keys=("head", "body", "bar", "episodes"),
    seldom=("body",),
)

Outputs = tuple[Output, ...]
MovePart = Callable[[Tick, bytes | None, bytes | None], tuple[Move | None, Outputs, bytes | None, bytes | None]]
BarPart = Callable[[Tick, bytes | None], tuple[Outputs, bytes | None, int | None]]
AlertPart = Callable[[Move, bytes | None], tuple[Outputs, bytes | None, int | None]]
Lookup = Callable[[str], Title]


def make_step(store: SchemaStore, plan: WindowPlan, rules: Sequence[Rule], lookup: Lookup) -> Step:
    """The step of this processor; its state is a market's `History` in two parts, its `BarState`, its `AlertState`."""
    ticks = Codec(TICKS, store, Tick)
    moved, barred, alerted = move_part(store, plan), bar_part(store), alert_part(store, rules, lookup)

    def step(value: bytes, remembered: Remembered) -> Result:
        tick = ticks.decode(value)
        head, body, bar, episodes = remembered
        move, outputs, head, body = moved(tick, head, body)
        more, bar, due_us = barred(tick, bar)
        outputs += more
        if move is not None:
            more, episodes, alert_due_us = alerted(move, episodes)
            outputs += more
            due_us = _sooner(due_us, alert_due_us)
        remember = (head, body, bar, episodes)
        return Result(tick, outputs, remember, remember == remembered, due_us)

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

    def part(tick: Tick, stored: bytes | None) -> tuple[Outputs, bytes | None, int | None]:
        state = None if stored is None else recalled(STAGE.name, "bar", BarState.unpack, stored)
        state, bar = bars.update(state, tick)
        outputs: Outputs = () if bar is None else ((BARS.name, codec.encode(bar)),)
        return outputs, None if state is None else state.pack(), bars.closes_us(state)

    return part


def alert_part(store: SchemaStore, rules: Sequence[Rule], lookup: Lookup) -> AlertPart:
    """Episodes of moves worth telling, with the names of their markets; most of the time nothing is remembered."""
    codec = Codec(ALERTS, store, Alert)
    by_category = any(rule.categories for rule in rules)

    def part(move: Move, stored: bytes | None) -> tuple[Outputs, bytes | None, int | None]:
        state = None if stored is None else recalled(STAGE.name, "episodes", AlertState.unpack, stored)
        category = lookup(move.market_id).category if by_category else ""
        state, made = alerts.update(state, move, rules, category)
        outputs = _told(codec, made, lookup) if made else ()
        return outputs, None if state is None else state.pack(), alerts.due_us(state)

    return part


def make_on_time(store: SchemaStore, rules: Sequence[Rule], lookup: Lookup) -> OnTime:
    """What time alone ends: the growing bar of a market that went quiet, and its episodes."""
    bar_codec, alert_codec = Codec(BARS, store, Bar), Codec(ALERTS, store, Alert)

    def on_time(market_id: str, now_us: int, remembered: Remembered) -> Passed:
        head, body, bar, episodes = remembered
        outputs: Outputs = ()
        growing = None if bar is None else recalled(STAGE.name, "bar", BarState.unpack, bar)
        open_ones = None if episodes is None else recalled(STAGE.name, "episodes", AlertState.unpack, episodes)
        venue = growing.venue if growing is not None else open_ones.venue if open_ones is not None else ""
        growing, finished = bars.close_by_time(growing, market_id, now_us)
        if finished is not None:
            outputs = ((BARS.name, bar_codec.encode(finished)),)
            bar = None if growing is None else growing.pack()
        open_ones, made = alerts.by_time(open_ones, market_id, now_us, rules)
        if made:
            outputs += _told(alert_codec, made, lookup)
            episodes = None if open_ones is None else open_ones.pack()
        due_us = _sooner(bars.closes_us(growing), alerts.due_us(open_ones))
        return Passed(venue, outputs, (head, body, bar, episodes), due_us)

    return on_time


def _told(codec: Codec[Alert], made: Sequence[Alert], lookup: Lookup) -> Outputs:
    """The alerts of one market as messages, with what it is called."""
    title, category, url = lookup(made[0].market_id)
    named = (replace(alert, title=title, category=category, url=url) for alert in made)
    return tuple((ALERTS.name, codec.encode(alert)) for alert in named)


def _sooner(a_us: int | None, b_us: int | None) -> int | None:
    if a_us is None or b_us is None:
        return b_us if a_us is None else a_us
    return min(a_us, b_us)


def _start(registry: SchemaRegistry, settings: Settings, process: Process, until_end: ExitStack) -> Work:
    titles = Titles(settings.kafka, registry, settings.process.state_dir / "titles.sqlite")
    until_end.callback(titles.stop)
    titles.start()
    process.add_facts(titles.health)
    plan = WindowPlan(settings.rules.windows, settings.rules.score)
    rules = rules_in_force(settings.rules)
    step = make_step(registry, plan, rules, titles.lookup)
    return Work(step, make_on_time(registry, rules, titles.lookup))


PROCESSOR = Processor(stage=STAGE, start=_start)
