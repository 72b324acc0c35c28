"""What a venue's rows name and other rows tell, events and series: kept for as long as rows go on naming it."""

from __future__ import annotations

from typing import Generic, TypeVar

from schemas.units import US_PER_S

UNNAMED_US = 86_400 * US_PER_S
"""So long after it was last named, and at most twice as long, a thing is kept. What lives is in each crawl, and what
waits for its result is asked for by name within hours; crawls that break off for hours cost nothing."""

ThingT = TypeVar("ThingT")


class Named(Generic[ThingT]):
    """Things by their names.

    In two generations, so that nothing is walked over: one that is named moves to the newer, the older leaves whole.
    """

    def __init__(self) -> None:
        self._newer: dict[str, ThingT] = {}
        self._older: dict[str, ThingT] = {}
        self._since_us: int | None = None

    def __len__(self) -> int:
        return len(self._newer.keys() | self._older.keys())

    def tell(self, name: str, thing: ThingT) -> None:
        """What a name stands for from now on."""
        self._newer[name] = thing

    def of(self, name: str) -> ThingT | None:
        """What a row names; None when it was never told, or is gone."""
        thing = self._newer.get(name)
        if thing is None and (thing := self._older.pop(name, None)) is not None:
            self._newer[name] = thing
        return thing

    def let_go(self, now_us: int) -> None:
        """What was not named for long leaves. Call it now and then, with our clock."""
        if self._since_us is None:
            self._since_us = now_us
        elif now_us - self._since_us >= UNNAMED_US:
            self._newer, self._older, self._since_us = {}, self._newer, now_us
