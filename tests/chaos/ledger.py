"""The audit after a bad day: what the venues showed, against what is stored, told or dead-lettered.

lost      published or computed, and not stored; or not computed
doubled   stored or computed more than once, or never shown by anybody
untold    shown by a venue, and neither stored, nor in a told gap, nor dead-lettered
misjudged a grade that the alerts and the stored mids do not give, or that is not there though it came due

What the tape shows is worked out from its lines alone. What the processors make is held against one undisturbed pass
over the ticks as they stand in Kafka: whatever was killed meanwhile must not be seen in it. (That such a pass is right
is what `tests/processors/analytics` and `tests/e2e` hold against brute force.)
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

from kernel.errors import MoversError
from kernel.kafka.readers import read_to_end
from kernel.schema_registry import SchemaRegistry
from kernel.settings import RuleSettings
from processors.analytics.windows import WindowPlan
from processors.analytics_app import NOTHING, Known, make_step
from processors.rules_file import rules_in_force
from processors.titles import Title
from schemas.codec import Codec, SchemaStore
from schemas.events import Alert, Bar, DeadLetter, Event, FeedStatus, Move, Tick
from schemas.topics import ALERTS, BARS, BY_NAME, DEAD_LETTERS, FEED_STATUS, MOVES, TICKS
from schemas.units import US_PER_S
from simulator.tape import Line, Quote
from tests.chaos.grades import GRADES, MIDS, Found, Grade, compared, recomputed
from tests.stack.processes import kafka_at

Place = tuple[str, int]
"""market_id and moment, microseconds."""

Prices = tuple[int | None, int | None, int | None]
"""bid, ask and the price they are worth, in ppm."""

_CENTS_10 = 100_000
_SHOWN = 5

T = TypeVar("T")


@dataclass
class Verdict:
    """What the audit found; `good` when there is nothing to find."""

    lost: list[str] = field(default_factory=list)
    doubled: list[str] = field(default_factory=list)
    untold: list[str] = field(default_factory=list)
    counted: dict[str, int] = field(default_factory=dict)
    grades: Found = field(default_factory=Found)

    @property
    def good(self) -> bool:
        """Whether every promise was kept."""
        return not any(self._findings().values())

    def line(self, kills: int, seed: int) -> str:
        """The last line of a run."""
        found = ", ".join(f"{kind} {len(of_kind)}" for kind, of_kind in self._findings().items())
        return f"{found}, kills {kills}, seed {seed}"

    def details(self) -> Iterator[str]:
        """What was counted, and the first few findings of each kind."""
        yield ", ".join(f"{what} {count}" for what, count in self.counted.items())
        yield self.grades.line()
        for kind, found in self._findings().items():
            for one in found[:_SHOWN]:
                yield f"{kind}: {one}"

    def _findings(self) -> dict[str, list[str]]:
        return {"lost": self.lost, "doubled": self.doubled, "untold": self.untold, "misjudged": self.grades.findings()}


def shown(lines: Iterable[Line], until_us: Mapping[str, int]) -> dict[Place, Prices]:
    """What the venues showed: the state of every market at every moment up to their newest, from the tape alone."""
    found: dict[Place, Prices] = {}
    venue_of: dict[str, str] = {}
    books: dict[str, dict[str, tuple[int | None, int | None, int | None]]] = defaultdict(dict)
    moments: dict[str, dict[int, list[Quote]]] = defaultdict(lambda: defaultdict(list))
    for line in lines:
        if isinstance(line, Quote):
            moment_us = -(-line.ts_us // US_PER_S) * US_PER_S
            moments[venue_of[line.market]][moment_us].append(line)
        elif hasattr(line, "venue"):
            venue_of[line.market] = line.venue
    for venue, of_venue in moments.items():
        for moment_us, quotes in sorted(of_venue.items()):
            if moment_us > until_us[venue]:
                break
            for quote in quotes:
                last = (
                    books[venue].get(quote.market, (None, None, None))[2] if quote.last_ppm is None else quote.last_ppm
                )
                books[venue][quote.market] = (quote.bid_ppm, quote.ask_ppm, last)
            for market, book in books[venue].items():
                prefix = "KALSHI" if venue == "kalshi" else "POLY"
                found[f"{prefix}:{market}", moment_us] = (book[0], book[1], _worth(*book))
    return found


def _worth(bid: int | None, ask: int | None, last: int | None) -> int | None:
    """The written rule: the mid when both sides stand at most ten cents apart, else the last trade, else none."""
    if bid is not None and ask is not None and 0 <= ask - bid <= _CENTS_10:
        return (bid + ask) // 2
    return last


@dataclass
class Topics:
    """What stands in Kafka, decoded, in the order of the offsets."""

    ticks: list[tuple[bytes, bytes, Tick]]
    moves: list[Move]
    bars: list[Bar]
    alerts: list[Alert]
    gaps: list[FeedStatus]
    dead: list[DeadLetter]


def read_topics(bootstrap: str, registry: SchemaRegistry) -> Topics:
    """Reads all topics that the audit needs."""

    def events(topic_name: str) -> list[Any]:
        codec: Codec[Event] = Codec(BY_NAME[topic_name], registry, BY_NAME[topic_name].event)
        found = sorted(
            (m.partition(), m.offset(), m.value()) for m in read_to_end(kafka_at(bootstrap), topic_name, 120)
        )
        return [codec.decode(value) for _, _, value in found]

    ticks = Codec(TICKS, registry, Tick)
    raw = [(m.partition(), m.offset(), m.key(), m.value()) for m in read_to_end(kafka_at(bootstrap), TICKS.name, 120)]
    return Topics(
        ticks=[(key, value, ticks.decode(value)) for _, _, key, value in sorted(raw, key=lambda m: m[:2])],
        moves=events(MOVES.name),
        bars=events(BARS.name),
        alerts=events(ALERTS.name),
        gaps=[status for status in events(FEED_STATUS.name) if status.gap_started_us is not None],
        dead=events(DEAD_LETTERS.name),
    )


def audit(
    lines: list[Line],
    until_us: Mapping[str, int],
    bootstrap: str,
    registry: SchemaRegistry,
    rows: Callable[[str], list[tuple[Any, ...]]],
    rules: RuleSettings,
) -> Verdict:
    """The whole audit. `rows` asks the store; `until_us` is the newest moment that each venue has surely shown."""
    verdict = Verdict()
    topics = read_topics(bootstrap, registry)
    _audit_ticks(verdict, shown(lines, until_us), topics, rows, registry)
    _audit_computed(verdict, topics, registry, rules)
    _audit_tables(verdict, topics, rows)
    _audit_grades(verdict, topics, rows)
    return verdict


def _audit_ticks(
    verdict: Verdict,
    expected: dict[Place, Prices],
    topics: Topics,
    rows: Callable[[str], list[tuple[Any, ...]]],
    registry: SchemaStore,
) -> None:
    stored = rows(
        "SELECT market_id, toUnixTimestamp64Micro(ts), "
        + ", ".join(f"toInt64(round(toFloat64({name}) * 1000000))" for name in ("bid", "ask", "price"))
        + " FROM snapshots"
    )
    counts = Counter((str(row[0]), int(row[1])) for row in stored)
    values: dict[Place, Prices] = {(str(row[0]), int(row[1])): (row[2], row[3], row[4]) for row in stored}
    figures = {(tick.market_id, tick.ts_event_us) for _, _, tick in topics.ticks if tick.source == "backfill"}
    published = {(tick.market_id, tick.ts_event_us) for _, _, tick in topics.ticks}
    told = _in_gaps(topics.gaps) if topics.gaps else lambda _place: False
    letters = _dead_ticks(topics.dead, registry)
    verdict.counted |= {
        "shown": len(expected), "published": len(published), "stored": len(stored),
        "gaps told": len(topics.gaps), "dead letters": len(topics.dead),
    }  # fmt: skip
    verdict.doubled += [f"{place} stored {count} times" for place, count in counts.items() if count > 1]
    verdict.doubled += [f"{place} stored, shown by nobody" for place in counts.keys() - expected.keys() - figures]
    verdict.lost += [f"{place} published, not stored" for place in published - counts.keys() - letters]
    missing = expected.keys() - counts.keys() - published - letters
    verdict.untold += [f"{place} shown, neither stored nor told" for place in sorted(missing) if not told(place)]
    wrong = [place for place in expected.keys() & values.keys() if expected[place] != values[place]]
    verdict.lost += [f"{place} was {expected[place]}, is stored as {values[place]}" for place in sorted(wrong)]


def _in_gaps(gaps: Iterable[FeedStatus]) -> Callable[[Place], bool]:
    spans = [
        (status.venue, status.gap_started_us or 0, status.ts_event_us)
        for status in gaps
        if status.state == "gap_closed"
    ]

    def told(place: Place) -> bool:
        venue = "kalshi" if place[0].startswith("KALSHI") else "polymarket"
        return any(venue == its and start <= place[1] <= end for its, start, end in spans)

    return told


def _dead_ticks(letters: Iterable[DeadLetter], registry: SchemaStore) -> set[Place]:
    codec = Codec(TICKS, registry, Tick)
    found = set()
    for letter in letters:
        try:
            tick = codec.decode(letter.body)
        except MoversError:
            continue  # no tick: a venue's answer, or nonsense
        found.add((tick.market_id, tick.ts_event_us))
    return found


def _audit_computed(verdict: Verdict, topics: Topics, registry: SchemaRegistry, rules: RuleSettings) -> None:
    """Under each id that an undisturbed pass gives, the topic's newest word is that pass's, and there is no other id.

    A bar may be told again under its id, corrected; a move or an alert that is told again says the same.
    """
    nameless = Title()
    plan = WindowPlan(rules.windows, rules.score)
    step = make_step(registry, plan, rules_in_force(rules), lambda _market: nameless)
    codecs: dict[str, Codec[Any]] = {topic.name: Codec(topic, registry, topic.event) for topic in (MOVES, BARS, ALERTS)}
    known: dict[bytes, Known] = {}
    expected: dict[str, dict[str, Any]] = {name: {} for name in codecs}
    for key, value, _ in topics.ticks:
        result = step(value, known.get(key, NOTHING))
        known[key] = result.known
        for name, output in result.outputs:
            event = codecs[name].decode(output)
            expected[name][event.event_id] = event
    found: dict[str, list[Any]] = {
        MOVES.name: [*topics.moves],
        BARS.name: [*topics.bars],
        ALERTS.name: [*topics.alerts],
    }
    for name, events in found.items():
        got = {event.event_id: _nameless(event) for event in events}
        verdict.counted[name] = len(got)
        verdict.lost += [f"{name}: not computed: {expected[name][i]}" for i in expected[name].keys() - got.keys()]
        verdict.doubled += [f"{name}: nobody asked for {got[i]}" for i in got.keys() - expected[name].keys()]
        differing = [i for i in got.keys() & expected[name].keys() if got[i] != expected[name][i]]
        verdict.lost += [f"{name}: says {got[i]}, not {expected[name][i]}" for i in differing]


def _nameless(event: Any) -> Any:
    """An alert carries what its market and event were called, as it was known then; that is no computation."""
    return replace(event, **Title()._asdict()) if isinstance(event, Alert) else event


def _audit_tables(verdict: Verdict, topics: Topics, rows: Callable[[str], list[tuple[Any, ...]]]) -> None:
    """The tables of moves, bars and alerts hold what the topics hold."""
    newest: dict[str, int] = {}
    for move in topics.moves:
        newest[move.token_id] = max(newest.get(move.token_id, 0), move.ts_event_us)
    latest = rows("SELECT token_id, window, toUnixTimestamp64Micro(ts) FROM movers_latest FINAL")
    _compare(
        verdict,
        "movers_latest",
        Counter((t, ts) for t, ts in newest.items()),
        Counter({(t, ts) for t, _, ts in latest}),
    )
    bars = rows("SELECT token_id, toUnixTimestamp64Micro(ts) FROM ohlcv_1m FINAL")
    _compare(verdict, "ohlcv_1m", Counter({(b.token_id, b.bar_start_us) for b in topics.bars}), Counter(bars))
    alerts = rows("SELECT toString(event_id) FROM alerts FINAL")
    _compare(verdict, "alerts", Counter({a.event_id for a in topics.alerts}), Counter(row[0] for row in alerts))


def _audit_grades(verdict: Verdict, topics: Topics, rows: Callable[[str], list[tuple[Any, ...]]]) -> None:
    """Each grade is that of the alerts as told and of the mids as stored."""
    newest_us: dict[str, int] = {}
    for move in topics.moves:
        newest_us[move.venue] = max(newest_us.get(move.venue, 0), move.ts_event_us)
    expected = recomputed(topics.alerts, [(token, ts_us, ppm) for token, ts_us, ppm in rows(MIDS)])
    given = {(alert_id, after_s): Grade(*grade) for alert_id, after_s, *grade in rows(GRADES)}
    verdict.grades = compared(expected, given, newest_us)


def _compare(verdict: Verdict, table: str, expected: Counter[T], got: Counter[T]) -> None:
    verdict.lost += [f"{table} lacks {key}" for key in (expected - got)]
    verdict.doubled += [f"{table} has {key} once more than it should" for key in (got - expected)]
