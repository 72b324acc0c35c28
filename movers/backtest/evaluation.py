"""How well alerts found labelled jumps. Pure.

The rule of scoring, in words. A label is **visible** when a rule that looks at its market and direction could have seen
it: within 300 seconds the market was quoted as that rule asks (open, two-sided, tight, traded enough) at a mid at least
its threshold away from the last mid before the label, and the market had been known for the shortest window of any rule
by then. Labels that are not visible are counted and left out. A label is **found** when a confirmed episode of its
market, in its direction when that is known, was detected or escalated from 60 seconds before it to 300 seconds after
it, or began (its foot) within 60 seconds.

A confirmed episode is a **step** when at least three quarters of its move came within a minute around its foot; the
others are drifts, which labels of jumps know nothing of and which are counted apart, as are settlements and moves
across a gap. A step is **right** when any label fits it as above. Recall is the share of visible labels found,
precision the share of confirmed steps that are right, delay the time from label to detection.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from movers.backtest.labels import Label
from processors.backtest import Mids, Record
from schemas.units import PPM_PER_PP, US_PER_S
from schemas.words import Direction

EARLY_US = 60 * US_PER_S
LATE_US = 300 * US_PER_S
HALF_STEP_US = 30 * US_PER_S
STEP_SHARE = 0.75
_SIGNS: dict[Direction, int] = {"up": 1, "down": -1}


@dataclass(frozen=True, slots=True)
class Verdict:
    """How well alerts found the labels."""

    labels: int
    visible: int
    found: int
    confirmed: int
    steps: int
    right: int
    delays_s: tuple[float, ...]
    missed: tuple[Label, ...]
    wrong: tuple[Record, ...]

    @property
    def precision(self) -> float | None:
        """Share of confirmed steps that are right."""
        return self.right / self.steps if self.steps else None

    @property
    def recall(self) -> float | None:
        """Share of visible labels found."""
        return self.found / self.visible if self.visible else None


def is_visible(label: Label, mids: Mids, shortest_window_s: int) -> bool:
    """Whether a rule could have seen a label, by the rule at the top of this file."""
    before = bisect_left(mids.ts_us, label.ts_us) - 1
    if before < 0 or mids.ts_us[0] > label.ts_us + LATE_US - shortest_window_s * US_PER_S:
        return False
    for at in range(before + 1, bisect_right(mids.ts_us, label.ts_us + LATE_US)):
        change_pp = (mids.price_ppm[at] - mids.price_ppm[before]) / PPM_PER_PP
        if label.direction != "down" and change_pp >= mids.up_from_pp[at]:
            return True
        if label.direction != "up" and -change_pp >= mids.down_from_pp[at]:
            return True
    return False


def is_step(record: Record, mids: Mids) -> bool:
    """Whether at least three quarters of a move came within a minute around its foot."""
    foot_us = record.detected_us if record.onset_us is None else record.onset_us
    before = bisect_left(mids.ts_us, foot_us - HALF_STEP_US)
    after = bisect_right(mids.ts_us, foot_us + HALF_STEP_US)
    around = mids.price_ppm[max(0, before - 1) : after]
    if not around:
        return False
    change_pp = (around[-1] - around[0]) / PPM_PER_PP
    return change_pp * _SIGNS[record.direction] >= abs(record.move_pp) * STEP_SHARE


def judge(
    records: Sequence[Record],
    labels: Sequence[Label],
    mids: Callable[[str], Mids],
    shortest_window_s: int,
) -> Verdict:
    """Scores confirmed episodes against labels, by the rule at the top of this file."""
    confirmed = [r for r in records if r.confirmed_us is not None and r.kind == "move"]
    steps = [r for r in confirmed if is_step(r, mids(r.market_id))]
    by_market: dict[str, list[Record]] = {}
    for record in confirmed:
        by_market.setdefault(record.market_id, []).append(record)
    right: set[str] = set()
    delays, missed, visible = [], [], 0
    for label in labels:
        hits = []
        for record in by_market.get(label.market_id, []):
            at_us = _fits(record, label)
            if at_us is not None:
                hits.append(at_us)
                right.add(record.alert_id)
        if not is_visible(label, mids(label.market_id), shortest_window_s):
            continue
        visible += 1
        if hits:
            delays.append(max(0.0, (min(hits) - label.ts_us) / US_PER_S))
        else:
            missed.append(label)
    wrong = tuple(r for r in steps if r.alert_id not in right)
    return Verdict(
        labels=len(labels),
        visible=visible,
        found=len(delays),
        confirmed=len(confirmed),
        steps=len(steps),
        right=len(steps) - len(wrong),
        delays_s=tuple(delays),
        missed=tuple(missed),
        wrong=wrong,
    )


def _fits(record: Record, label: Label) -> int | None:
    """When an episode told of a label; None when it did not."""
    if label.direction not in (None, record.direction):
        return None
    moments = [at for at in (record.detected_us, *record.escalated_us) if _near(at, label.ts_us)]
    if moments:
        return min(moments)
    if record.onset_us is not None and abs(record.onset_us - label.ts_us) <= EARLY_US:
        return record.detected_us
    return None


def _near(at_us: int, label_us: int) -> bool:
    return label_us - EARLY_US <= at_us <= label_us + LATE_US


def percentile(values: Sequence[float], share: float) -> float | None:
    """The smallest value that at least `share` of the values do not exceed; None of none."""
    ordered = sorted(values)
    if not ordered:
        return None
    at = max(0, -(-len(ordered) * round(share * 1000) // 1000) - 1)
    return ordered[min(at, len(ordered) - 1)]
