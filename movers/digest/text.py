"""A digest as lines to read, and as an object for programs."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

from dashboard import formats
from movers.console import printable
from movers.digest.summary import Digest, Gap, Told

_SPANS = {1: "hours", 24: "days", 168: "weeks"}


def lines(digest: Digest, limit: int) -> list[str]:
    """What a reader is told: how much, what moved, and when nobody saw anything. Times are UTC.

    Args:
        digest: what is told.
        limit: so many events at most; how many more there are is said.
    """
    hours = digest.length // timedelta(hours=1)
    counts = digest.episodes
    said = [
        f"{hours} hour{'s' * (hours != 1)} to {digest.ends_at:%Y-%m-%d %H:%M} UTC",
        _verdict(digest, hours),
        f"{sum(counts.values())} moves detected: {counts['confirmed']} confirmed, {counts['reverted']} reverted, "
        f"{counts['undecided']} never judged or not yet.",
    ]
    shown = digest.told[:limit]
    for heading, is_old in (("", False), ("Again, as in the time before:", True)):
        of_it = [told for told in shown if told.is_old_story == is_old]
        if of_it:
            said += ["", *([heading] if heading else []), *(line for told in of_it for line in _move(told))]
    if len(digest.told) > limit:
        said += ["", f"and {len(digest.told) - limit} events more"]
    return [*said, "", _feeds(digest)]


def as_object(digest: Digest) -> dict[str, Any]:
    """The same, whole, for `--json`."""
    return {
        "from": digest.ends_at - digest.length,
        "to": digest.ends_at,
        "much": digest.much,
        "events": len(digest.told),
        "events_before": list(digest.before),
        "episodes": dict(digest.episodes),
        "told": [
            {**dataclasses.asdict(t.episode), "more_markets": t.more_markets, "is_old_story": t.is_old_story}
            for t in digest.told
        ],
        "gaps": [dataclasses.asdict(gap) for gap in digest.gaps],
    }


def _verdict(digest: Digest, hours: int) -> str:
    events = len(digest.told)
    found = f"{events} event{'s' * (events != 1)} with a confirmed move" if events else "no confirmed move"
    if digest.much == "unknown":
        why = "too few whole ones before it are stored" if digest.is_whole else "hours of it are missing in the store"
        return f"{found[0].upper()}{found[1:]}. Whether that is much is not known: {why}."
    spans = f"{len(digest.before)} {_SPANS.get(hours, f'spans of {hours} hours')} before"
    words = {"more": f"More than in each of the {spans}", "less": f"Less than in each of the {spans}"}
    return f"{words.get(digest.much, f'As in the {spans}')} ({min(digest.before)} to {max(digest.before)}): {found}."


def _move(told: Told) -> Iterator[str]:
    episode = told.episode
    prices = f"{formats.percent(episode.price_then)} → {formats.percent(episode.price_now)}"
    where = f"{formats.category(episode.category)}, {formats.venue(episode.venue)}, {episode.opened_at:%d %b %H:%M}"
    yield f"{formats.points(episode.peak_move_pp):>9}  {printable(episode.title or episode.market_id)}"
    yield f"{'':11}{prices}; {where}; {_became(told)}"
    if told.more_markets:
        event = f" of {printable(episode.event_title)}" if episode.event_title else " of its event"
        yield f"{'':11}and {told.more_markets} more market{'s' * (told.more_markets != 1)}{event}"


def _became(told: Told) -> str:
    episode = told.episode
    if episode.result:
        return f"settled as {printable(episode.result)}"
    if episode.kept is None:
        return "not graded yet"
    after = formats.span(episode.graded_after_s)
    return f"turned round after {after}" if episode.kept < 0 else f"{episode.kept:.0%} of it stood after {after}"


def _feeds(digest: Digest) -> str:
    if not digest.gaps:
        return "The feeds told of no gap."
    return "Gaps of the feeds: " + "; ".join(map(_gap, digest.gaps))


def _gap(gap: Gap) -> str:
    return f"{formats.venue(gap.venue)} {_at(gap.started_at)} to {'now' if gap.ended_at is None else _at(gap.ended_at)}"


def _at(moment: datetime) -> str:
    return f"{moment:%d %b %H:%M}"
