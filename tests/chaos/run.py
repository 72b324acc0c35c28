"""One bad day from a seed: start, break, mend, audit."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from kernel.schema_registry import SchemaRegistry
from kernel.settings import RuleSettings
from tests.chaos.ledger import Verdict, audit
from tests.chaos.trouble import Trouble, live_through
from tests.chaos.world import RULE, World
from tests.stack.made_tape import made_tape

MARKETS = 12
MOMENTS = 20_000  # more than a bad day lasts


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a day came to."""

    verdict: Verdict
    kills: int
    seed: int

    @property
    def line(self) -> str:
        """The last line."""
        return self.verdict.line(self.kills, self.seed)


def bad_day(
    folder: Path,
    seed: int,
    day: Sequence[Trouble],
    say: Callable[[str], None],
    *,
    moments: int = MOMENTS,
    disk: Path | None = None,
) -> Outcome:
    """Lives through a day and audits it. Says each trouble as it comes, and what it found. Data stand on `disk`."""
    lines = made_tape(seed, MARKETS, moments)
    world = World(folder, lines, disk=disk)
    try:
        world.start()
        for _ in live_through(world, day, say):
            reason = world.given_up()
            assert reason is None, reason
        world.settle()
        outcome = Outcome(audited(world), sum(world.killed.values()), seed)
    finally:
        world.close()
    for line in outcome.verdict.details():
        say(line)
    if world.restarts:
        say(f"ended by themselves: {dict(world.restarts)}")
    for end in world.ends:
        say(f"ended by itself: {end}")
    return outcome


def audited(world: World) -> Verdict:
    """The audit of a world that has settled."""
    registry = SchemaRegistry(world.registry.url)
    rules = RuleSettings(**{name.lower(): value for name, value in RULE.items()})
    try:
        until_us: dict[str, int] = world.venues.ask("status")["venue_now_us"]
        return audit(world.lines, until_us, world.bootstrap, registry, world.rows, rules)
    finally:
        registry.close()
