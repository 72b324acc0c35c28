"""The clock that times are shown by: the reader's own, or UTC. Every time on a page is written here."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone

import pandas as pd
import streamlit as st

from dashboard.formats import DASH, is_missing

KEY = "times_utc"
"""Of the choice of UTC, in the session and in the address."""


@dataclass(frozen=True, slots=True)
class Zone:
    """A clock so many minutes ahead of UTC, at every moment alike.

    Not a place, whose clocks change twice a year: the name that stands beside a time is true of it on either side of
    such a change, and an axis has each hour once.
    """

    ahead_min: int = 0

    @property
    def name(self) -> str:
        """What stands beside a time: UTC, UTC+1, UTC−3:30."""
        hours, minutes = divmod(abs(self.ahead_min), 60)
        sign = "" if not self.ahead_min else "+" if self.ahead_min > 0 else "−"
        return f"UTC{sign}{hours if self.ahead_min else ''}" + (f":{minutes:02d}" if minutes else "")

    def clock(self, moment: datetime | None, *, date: bool = False, seconds: bool = False) -> str:
        """A moment, for where the zone is named beside it: 18:42, or 23 Nov 18:42, or 18:42:30."""
        if moment is None or is_missing(moment):
            return DASH
        return self.wall(moment).strftime(("%d %b " if date else "") + ("%H:%M:%S" if seconds else "%H:%M"))

    def at(self, moment: datetime | None, *, date: bool = False, seconds: bool = False) -> str:
        """A moment and its zone: 18:42 UTC+1."""
        return f"{self.clock(moment, date=date, seconds=seconds)} {self.name}"

    def day(self, moment: datetime | None) -> str:
        """The day of a moment: 9 Feb 2027."""
        if moment is None or is_missing(moment):
            return DASH
        day = self.wall(moment)
        return f"{day.day} {day:%b %Y}"

    def wall(self, moment: datetime) -> datetime:
        """What the clock shows at a moment, without a zone: for a picker of times, and for Plotly, which knows none."""
        return moment.astimezone(self._tz).replace(tzinfo=None)

    def walls(self, moments: pd.Series) -> pd.Series:
        """The same for a column."""
        return pd.to_datetime(moments, utc=True).dt.tz_convert(self._tz).dt.tz_localize(None)

    def moment(self, wall: datetime) -> datetime:
        """The moment at which the clock shows that; in UTC."""
        return wall.replace(tzinfo=self._tz).astimezone(UTC)

    @property
    def _tz(self) -> timezone:
        return timezone(timedelta(minutes=self.ahead_min))


UTC_ZONE = Zone()


def own() -> Zone:
    """Of the reader's browser, as of now; UTC where it does not tell."""
    behind_min = st.context.timezone_offset  # JavaScript counts from the reader to UTC
    return Zone(-behind_min) if behind_min else UTC_ZONE


def chosen() -> Zone:
    """By which this reader wants times to be shown."""
    in_the_address = st.query_params.get(KEY) == "true"  # not in the session before the choice is drawn
    return UTC_ZONE if st.session_state.get(KEY, in_the_address) else own()
