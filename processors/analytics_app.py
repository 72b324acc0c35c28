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
from schemas.frozen import dataclass
from schemas.topics import ALERTS, BARS, MOVES, TICKS


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of a market; the history is stored in two parts."""

    history: History | None = None
    bar: BarState | None = None
    episodes: AlertState | None = None


NOTHING = Known()


def unpack(stored: Remembered) -> Known:
    """What was stored; a part of a version that nobody reads any more begins anew."""
    head, body, bar, episodes = stored
    return Known(
        None if head is None else recalled(STAGE.name, "history", History.unpack, head, body),
        None if bar is None else recalled(STAGE.name, "bar", BarState.unpack, bar),
        None if episodes is None else recalled(STAGE.name, "episodes", AlertState.unpack, episodes),
    )


def pack(known: Known) -> Remembered:
    """As it is stored."""
    bar, episodes = known.bar, known.episodes
    head, body = (None, None) if known.history is None else known.history.pack()
    return head, body, None if bar is None else bar.pack(), None if episodes is None else episodes.pack()


STAGE = Stage(
    name="analytics",
    input=TICKS,
    outputs=(MOVES, BARS, ALERTS),
    state_keys=("head", "body", "bar", "episodes"),
    seldom=("body",),
    unpack=unpack,
    pack=pack,
)

Outputs = tuple[Output, ...]
MovePart = Callable[[Tick, History | None], tuple[Move | None, Outputs, History | None]]
BarPart = Callable[[Tick, BarState | None], tuple[Outputs, BarState | None, int | None]]
AlertPart = Callable[[Move, AlertState | None], tuple[Outputs, AlertState | None, int | None]]
Lookup = Callable[[str], Title]


def make_step(store: SchemaStore, plan: WindowPlan, rules: Sequence[Rule], lookup: Lookup) -> Step:
    """The step of this processor."""
    ticks = Codec(TICKS, store, Tick)
    moved, barred, alerted = move_part(store, plan), bar_part(store), alert_part(store, rules, lookup)

    def step(value: bytes, known: Known) -> Result:
        tick = ticks.decode(value)
        episodes = known.episodes
        move, outputs, history = moved(tick, known.history)
        more, bar, due_us = barred(tick, known.bar)
        outputs += more
        if move is not None:
            more, episodes, alert_due_us = alerted(move, episodes)
            outputs += more
            due_us = _sooner(due_us, alert_due_us)
        late = history is known.history and bar == known.bar and episodes == known.episodes
        return Result(tick, outputs, Known(history, bar, episodes), late, due_us)

    return step


def move_part(store: SchemaStore, plan: WindowPlan) -> MovePart:
    """How far the market has moved; remembers its history."""
    codec = Codec(MOVES, store, Move)

    def part(tick: Tick, history: History | None) -> tuple[Move | None, Outputs, History | None]:
        history, move = moves.update(history, tick, plan)
        return move, () if move is None else ((MOVES.name, codec.encode(move)),), history

    return part


def bar_part(store: SchemaStore) -> BarPart:
    """The minute's open, high, low and close; remembers the bar that still grows."""
    codec = Codec(BARS, store, Bar)

    def part(tick: Tick, state: BarState | None) -> tuple[Outputs, BarState | None, int | None]:
        state, bar = bars.update(state, tick)
        outputs: Outputs = () if bar is None else ((BARS.name, codec.encode(bar)),)
        return outputs, state, bars.closes_us(state)

    return part


def alert_part(store: SchemaStore, rules: Sequence[Rule], lookup: Lookup) -> AlertPart:
    """Episodes of moves worth telling, with the names of their markets; most of the time nothing is remembered."""
    codec = Codec(ALERTS, store, Alert)
    by_category = any(rule.categories for rule in rules)

    def part(move: Move, state: AlertState | None) -> tuple[Outputs, AlertState | None, int | None]:
        category = lookup(move.market_id).category if by_category else ""
        state, made = alerts.update(state, move, rules, category)
        outputs = _told(codec, made, lookup) if made else ()
        return outputs, state, alerts.due_us(state)

    return part


def make_on_time(store: SchemaStore, rules: Sequence[Rule], lookup: Lookup) -> OnTime:
    """What time alone ends: the growing bar of a market that went quiet, and its episodes."""
    bar_codec, alert_codec = Codec(BARS, store, Bar), Codec(ALERTS, store, Alert)

    def on_time(market_id: str, now_us: int, known: Known) -> Passed:
        bar, episodes = known.bar, known.episodes
        venue = bar.venue if bar is not None else episodes.venue if episodes is not None else ""
        bar, finished = bars.close_by_time(bar, market_id, now_us)
        outputs: Outputs = () if finished is None else ((BARS.name, bar_codec.encode(finished)),)
        episodes, made = alerts.by_time(episodes, market_id, now_us, rules)
        if made:
            outputs += _told(alert_codec, made, lookup)
        due_us = _sooner(bars.closes_us(bar), alerts.due_us(episodes))
        return Passed(venue, outputs, Known(known.history, bar, episodes), due_us)

    return on_time


def _told(codec: Codec[Alert], made: Sequence[Alert], lookup: Lookup) -> Outputs:
    """The alerts of one market as messages, with what it is called."""
    known = lookup(made[0].market_id)._asdict()
    return tuple((ALERTS.name, codec.encode(replace(alert, **known))) for alert in made)


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
