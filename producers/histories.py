"""The time before we watched: which markets' histories are asked for after a start, and how much of them is told."""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from kernel.errors import BadMessageError, PermanentError, TransientError
from kernel.logs import get_logger
from producers.base import Errand, Histories, PastReader, Reader, Received, Witness
from producers.fields import refusal
from producers.intake import Past, Read, State
from producers.ticks import Earlier, Shown
from producers.tracked import Tracked
from schemas.units import US_PER_S

log = get_logger(__name__)

REACH_US = 25 * 3_600 * US_PER_S
"""How far back is asked: the longest window, and an hour before it."""

WORTH_ASKING_US = 600 * US_PER_S
"""A shorter time without us is told by the figures of the rows alone."""

RECENT_US, RECENT_STEP_US, STEP_US = 2 * 3_600 * US_PER_S, 300 * US_PER_S, 1_800 * US_PER_S
"""A history is told in steps of five minutes for the last two hours, of half an hour before: a window of w compares
with a price at most this much older than w."""

CHANNEL = "history"
"""Where points that cannot be read are said to come from."""

_ANSWER_WITHIN_S = 10.0
_A_PAGE = 200
"""More markets of one page do not wait: the next page must be asked for."""


class Backfill:
    """Asks for the histories of the busiest markets, page by page of the first crawl.

    A market is asked for before its first tick, since what comes after is late, and so before all volumes are known:
    whichever is among the `most` busiest of those shown so far. None of the busiest is missed by this, some others are
    asked for too. The first question that fails is the last: the venue's crawl must not wait for it.
    """

    def __init__(
        self, histories: Histories | None, reader: Reader, tracked: Tracked, witness: Witness, most: int
    ) -> None:
        self._histories = histories
        self._reader = reader
        self._tracked = tracked
        self._witness = witness
        self._most = most
        self._busiest: list[float] = []
        self._over = histories is None or not most
        self.told = 0
        """Markets whose history was told."""

    def over(self) -> None:
        """A crawl was whole: who comes now has no time before us."""
        self._over = True

    def wanted(self, read: Read) -> list[State]:
        """The states of a page whose markets are to be asked for, the busiest first."""
        now_us = read.moment.as_of_us
        if self._over or now_us - self._tracked.watched_until_us < WORTH_ASKING_US:
            return []
        unseen = [state for state in read.states if self._matters(state[0])]
        unseen.sort(key=lambda state: state[0].volume_24h_usd or 0.0, reverse=True)
        return [state for state in unseen[:_A_PAGE] if self._is_busy(state[0].volume_24h_usd or 0.0)]

    async def ask(self, states: Sequence[State], now_us: int) -> Past:
        """The histories of these markets; of none where the venue does not say in time."""
        histories, since_us = self._histories, max(self._tracked.watched_until_us, now_us - REACH_US)
        if not states or histories is None:
            return Past()
        named = named_as_asked(self._reader, states)
        answers: list[tuple[Received, Mapping[str, list[Any]]]] = []
        names, errand = list(named), Errand("history")
        for start in range(0, len(names), histories.batch):
            try:
                async with asyncio.timeout(_ANSWER_WITHIN_S):
                    batch = names[start : start + histories.batch]
                    async for answer in histories.ask(batch, since_us, now_us, errand):
                        answers.append(answer)
            except (TransientError, PermanentError, TimeoutError) as error:
                log.warning("histories_given_up", error=str(error) or "no answer in time", told=self.told)
                self._over = True
                break
        told = read_past(
            histories.reader, named, [rows for _, rows in answers], now_us,
            lambda error: self._witness.refused(error, CHANNEL),
        )  # fmt: skip
        self.told += len(told)
        return Past(told, tuple((received.connection_id, received.sequence) for received, _ in answers))

    def _matters(self, shown: Shown) -> bool:
        """Whether a market trades, has a price, and nobody has seen it for a while."""
        trades = bool(shown.volume_24h_usd) and shown.market_status == "open" and shown.quote.price_ppm is not None
        return trades and self._tracked.blind_since_us(shown.market_id) is not None

    def _is_busy(self, volume_usd: float) -> bool:
        if len(self._busiest) < self._most:
            heapq.heappush(self._busiest, volume_usd)
            return True
        return heapq.heappushpop(self._busiest, volume_usd) < volume_usd


def named_as_asked(reader: Reader, states: Iterable[State]) -> dict[str, Shown]:
    """What markets show, by the names under which their histories are asked for."""
    return {reader.hot_id(shown.market_id, shown.token_id): shown for shown, _ in states}


def read_past(
    reader: PastReader,
    named: Mapping[str, Shown],
    answers: Iterable[Mapping[str, list[Any]]],
    now_us: int,
    refuse: Callable[[BadMessageError], None],
) -> dict[str, list[Earlier]]:
    """The histories in answers, by market id, in steps."""
    found: dict[str, list[Earlier]] = {}
    for rows in answers:
        for name, points in rows.items():
            if name in named:
                found.setdefault(name, []).extend(_read(reader, points, named[name], refuse))
    return {named[name].market_id: thinned(points, now_us) for name, points in found.items() if points}


def _read(
    reader: PastReader, points: Iterable[object], shown: Shown, refuse: Callable[[BadMessageError], None]
) -> list[Earlier]:
    """A market's points, up to the first that cannot be read: that one is a dead letter for all after it."""
    told: list[Earlier] = []
    for point in points:
        try:
            earlier = reader.read(point, shown)
        except Exception as error:
            refuse(refusal(error, point))
            break
        if earlier is not None and earlier.quote.price_ppm is not None:
            told.append(earlier)
    return told


def thinned(points: Iterable[Earlier], now_us: int) -> list[Earlier]:
    """The last point of each step before now, the oldest first. Pure."""
    last: dict[int, Earlier] = {}
    for point in sorted(points, key=lambda each: each.ts_us):
        step_us = RECENT_STEP_US if point.ts_us > now_us - RECENT_US else STEP_US
        last[point.ts_us // step_us * step_us] = point
    return sorted(last.values(), key=lambda each: each.ts_us)
