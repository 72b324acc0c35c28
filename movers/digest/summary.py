"""What a digest says of the episodes of some hours, and whether that is much. Pure.

The rule, in words. Told are episodes of kind *move* that were detected in the span and confirmed since, one for each
event: the market that moved furthest speaks for the others. An event that had one in the span before, too, is an old
story and stands behind the new ones.

Whether it is **much** is said by comparison with the spans of the same length before, up to seven: the number of events
is below all of theirs, above, or among them. Only spans count in which ticks of as many hours and venues are stored as
in this one, and at least three. Nothing is said of a span that has an hour without ticks of a venue itself.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal, get_args

SPANS_BEFORE = 7
ENOUGH_SPANS = 3
_HOUR = timedelta(hours=1)

Judged = Literal["confirmed", "reverted", "undecided"]
"""What became of an episode; *undecided* are also those still to be judged."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Episode:
    """An episode of kind *move*. Prices are probabilities 0..1.

    `event_key` is the market's own id where it stands alone. `peak_move_pp` is signed. `kept` is the share of the move
    that stood `graded_after_s` seconds after it was told, None while nothing is known; `result` what its market
    settled as.
    """

    alert_id: str
    judged: Judged
    opened_at: datetime
    market_id: str
    event_key: str
    event_title: str
    title: str
    category: str
    venue: str
    price_then: float
    price_now: float | None
    peak_move_pp: float
    kept: float | None
    graded_after_s: int
    result: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """One line of a digest: the episode of an event that moved furthest, and how many more of its markets moved."""

    episode: Episode
    more_markets: int
    is_old_story: bool


@dataclass(frozen=True, slots=True)
class Gap:
    """A time in which a venue's feed told nothing; `ended_at` None: it is open."""

    venue: str
    started_at: datetime
    ended_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Digest:
    """What is said of the span up to `ends_at`.

    `before`: confirmed events in each comparable span before, the latest first. `is_whole`: each hour that
    ended in the span has ticks of each venue.
    """

    ends_at: datetime
    length: timedelta
    episodes: Mapping[Judged, int]
    told: tuple[Told, ...]
    before: tuple[int, ...]
    is_whole: bool
    gaps: tuple[Gap, ...]

    @property
    def much(self) -> Literal["more", "less", "usual", "unknown"]:
        """How the number of events stands to that of the spans before."""
        if not self.is_whole or len(self.before) < ENOUGH_SPANS:
            return "unknown"
        events = len(self.told)
        if events > max(self.before):
            return "more"
        return "less" if events < min(self.before) else "usual"


def summed_up(
    episodes: Sequence[Episode],
    hours: Sequence[tuple[str, datetime]],
    gaps: Sequence[Gap],
    ends_at: datetime,
    length: timedelta,
) -> Digest:
    """The digest of a span.

    Args:
        episodes: of the span and of the `SPANS_BEFORE` before it, in any order.
        hours: venue and beginning of each hour of that time of which ticks are stored.
        gaps: of the feeds.
        ends_at: the last moment of the span.
        length: of a span, in whole hours.
    """
    ends = [ends_at - length * ago for ago in range(SPANS_BEFORE + 1)]
    spans = [[e for e in episodes if end - length < e.opened_at <= end] for end in ends]
    watched = [_watched(hours, end, length) for end in ends]
    confirmed = [_by_event(span) for span in spans]
    told = [_told(of_event, key in confirmed[1]) for key, of_event in confirmed[0].items()]
    told.sort(key=lambda t: (t.is_old_story, -abs(t.episode.peak_move_pp), t.episode.alert_id))
    return Digest(
        ends_at=ends_at,
        length=length,
        episodes={word: sum(e.judged == word for e in spans[0]) for word in get_args(Judged)},
        told=tuple(told),
        before=tuple(
            len(events) for events, seen in zip(confirmed[1:], watched[1:], strict=True) if seen and seen >= watched[0]
        ),
        is_whole=watched[0] == length // _HOUR * len({venue for venue, _ in hours}),
        gaps=together(gaps),
    )


def together(gaps: Sequence[Gap]) -> tuple[Gap, ...]:
    """Gaps of a venue's shards that overlap as one, the earliest first."""
    whole: list[Gap] = []
    for gap in sorted(gaps, key=lambda g: (g.venue, g.started_at)):
        last = whole[-1] if whole and whole[-1].venue == gap.venue else None
        if last is None or (last.ended_at is not None and gap.started_at > last.ended_at):
            whole.append(gap)
            continue
        ends = [end for end in (last.ended_at, gap.ended_at) if end is not None]
        whole[-1] = Gap(last.venue, last.started_at, max(ends) if len(ends) == 2 else None)
    return tuple(sorted(whole, key=lambda g: (g.started_at, g.venue)))


def _by_event(span: Sequence[Episode]) -> dict[str, list[Episode]]:
    events: dict[str, list[Episode]] = {}
    for episode in span:
        if episode.judged == "confirmed":
            events.setdefault(episode.event_key, []).append(episode)
    return events


def _told(of_event: Sequence[Episode], is_old_story: bool) -> Told:
    furthest = max(of_event, key=lambda e: (abs(e.peak_move_pp), e.alert_id))
    markets = {episode.market_id for episode in of_event}
    return Told(episode=furthest, more_markets=len(markets) - 1, is_old_story=is_old_story)


def _watched(hours: Sequence[tuple[str, datetime]], end: datetime, length: timedelta) -> int:
    """In how many hours that ended in a span, of each venue, ticks are stored."""
    return sum(end - length < hour + _HOUR <= end for _, hour in hours)
