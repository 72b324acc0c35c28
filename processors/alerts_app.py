"""moves → alerts: episodes of moves worth telling, with the names of their markets."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from kernel.process import living
from kernel.schema_registry import SchemaRegistry
from kernel.settings import RuleSettings, Settings
from processors import quix
from processors.analytics.alerts import AlertRule, AlertState, is_late, update
from processors.step import Remembered, Result, Step
from processors.titles import Title, Titles
from schemas.codec import Codec, SchemaStore
from schemas.events import Alert, Move
from schemas.topics import ALERTS, MOVES

STAGE = quix.Stage(name="alerts", input=MOVES, output=ALERTS)


def rule_from(settings: RuleSettings) -> AlertRule:
    """The rule's numbers."""
    return AlertRule(
        threshold_pp=settings.alert_threshold_pp,
        cooldown_s=settings.alert_cooldown_s,
        min_volume_24h_usd=settings.min_volume_24h,
        max_spread_pp=settings.max_spread_pp,
    )


def make_step(store: SchemaStore, rule: AlertRule, lookup: Callable[[str], Title]) -> Step:
    """The step of this processor; its state is a market's `AlertState`, most of the time none at all."""
    moves, alerts = Codec(MOVES, store, Move), Codec(ALERTS, store, Alert)

    def step(value: bytes, remembered: Remembered) -> Result:
        move = moves.decode(value)
        (stored,) = remembered
        before = None if stored is None else AlertState.unpack(stored)
        if is_late(before, move):
            return Result(move, (), remembered, late=True)
        after, made = update(before, move, rule)
        outputs: tuple[bytes, ...] = ()
        if made:
            title, category, url = lookup(move.market_id)
            outputs = tuple(alerts.encode(replace(a, title=title, category=category, url=url)) for a in made)
        return Result(move, outputs, (None if after is None else after.pack(),))

    return step


def run(settings: Settings) -> None:
    """Runs the processor until it is told to stop. Main thread only; see `processors.quix.run` for what it raises."""
    with living("process-alerts", settings.process) as process:
        registry = SchemaRegistry(settings.kafka.schema_registry_url)
        titles = Titles(settings.kafka.kafka_bootstrap_servers, registry)
        titles.start()
        process.add_facts(titles.health)
        try:
            rule = rule_from(settings.rules)
            quix.run(STAGE, lambda store: make_step(store, rule, titles.lookup), settings, process)
        finally:
            titles.stop()
            registry.close()
