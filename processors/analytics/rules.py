"""Alert rules as data: what a rule asks of a move before it is told. What an episode is stands in `alerts`."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, fields
from math import inf

from processors.analytics.scoring import MANY_STEPS
from schemas.events import Move
from schemas.units import event_id
from schemas.words import CATEGORIES, Category, RuleDirection, UnknownCategory

UP, DOWN = 1, -1

LOGIC_VERSION = "6"
"""Version of the rule written in `alerts`; a rule's own numbers add their digest (`Rule.version`)."""

LONGEST_COOLDOWN_S = 366 * 86_400
"""A year. The end of a cool-down is stored in 64 bits of microseconds."""

_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,39}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One named rule. Empty tuples mean all.

    `windows_s`: windows it looks at. `min_window_usd`: US dollars traded inside the window; 0 asks nothing.
    `min_usual_steps`: how many of its market's usual steps a move is, once they are known; 0 asks nothing. `venues`,
    `categories`, `markets` (a watch list) narrow it. `confirmed_only`: nothing is told before an episode is confirmed.

    Raises:
        ValueError: a number is out of range, or a word unknown; the text names the field.
    """

    name: str = "default"
    threshold_pp: float = 6.0
    windows_s: tuple[int, ...] = ()
    direction: RuleDirection = "both"
    min_volume_24h_usd: float = 10_000.0
    min_window_usd: float = 0.0
    max_spread_pp: float = 2.0
    min_usual_steps: float = MANY_STEPS
    cooldown_s: int = 900
    venues: tuple[str, ...] = ()
    categories: tuple[Category, ...] = ()
    markets: tuple[str, ...] = ()
    confirmed_only: bool = False

    def __post_init__(self) -> None:
        if _NAME.fullmatch(self.name) is None:
            raise ValueError(f"name {self.name!r}: up to 40 small letters, digits, - and _")
        if not 0 < self.threshold_pp <= 100:
            raise ValueError(f"threshold_pp {self.threshold_pp!r}: over 0, at most 100")
        if not 0 < self.max_spread_pp <= 100:
            raise ValueError(f"max_spread_pp {self.max_spread_pp!r}: over 0, at most 100")
        # nan and inf are numbers to TOML. Nothing is at least nan, so such a rule would never tell anything.
        for name in ("min_volume_24h_usd", "min_window_usd", "min_usual_steps"):
            if not 0 <= getattr(self, name) < inf:
                raise ValueError(f"{name} {getattr(self, name)!r}: 0 or more, finite")
        if not 0 <= self.cooldown_s <= LONGEST_COOLDOWN_S:
            raise ValueError(f"cooldown_s {self.cooldown_s!r}: 0 to {LONGEST_COOLDOWN_S}")
        if self.direction not in ("up", "down", "both"):
            raise ValueError(f"direction {self.direction!r}: up, down or both")
        if any(window_s < 1 for window_s in self.windows_s):
            raise ValueError(f"windows_s {self.windows_s!r}: positive seconds")
        if unknown := set(self.categories) - set(CATEGORIES):
            raise ValueError(f"categories: {min(unknown)!r} is none of ours")

    @property
    def version(self) -> str:
        """Changes whenever the written rule or a number of this one changes."""
        numbers = [f"{field.name}={getattr(self, field.name)!r}" for field in fields(self)]
        return f"{LOGIC_VERSION}-{event_id(*numbers)[:8]}"

    def looks_at(self, move: Move, category: Category | UnknownCategory) -> bool:
        """Whether the rule is about the market of a move."""
        return (
            (not self.venues or move.venue in self.venues)
            and (not self.categories or category in self.categories)
            and (not self.markets or move.market_id in self.markets)
        )

    def looks_along(self, direction: int) -> bool:
        """Whether the rule is about moves UP, or DOWN."""
        return self.direction == "both" or (self.direction == "up") == (direction == UP)


def checked(rules: Sequence[Rule]) -> tuple[Rule, ...]:
    """The rules, in order.

    Raises:
        ValueError: two have the same name, or there is none.
    """
    names = [rule.name for rule in rules]
    if not names:
        raise ValueError("no rule")
    for name in names:
        if names.count(name) > 1:
            raise ValueError(f"two rules are named {name!r}")
    return tuple(rules)
