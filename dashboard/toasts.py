"""Toasts: one background reader of the alerts topic a server process, and the rule for what is worth a pop-up.

Several rules may see one jump, it grows, and twenty markets of one event go along: a reader wants to hear of it once.
"""

from __future__ import annotations

import threading
import uuid
from collections import deque
from collections.abc import Iterable, Mapping, MutableMapping, Sequence
from dataclasses import dataclass

from confluent_kafka import Consumer, KafkaException

from kernel.errors import TransientError
from kernel.kafka.readers import consumer
from kernel.logs import get_logger
from kernel.schema_registry import SchemaRegistry
from kernel.settings import KafkaSettings
from schemas.codec import Codec, UndecodableError
from schemas.events import Alert
from schemas.topics import ALERTS
from schemas.units import US_PER_S
from schemas.words import ENDED_STATES

log = get_logger(__name__)

BURST_US = 15 * 60 * US_PER_S
"""Venue time in which further episodes of a market, or of its event, in the same direction are the same news."""

GREW_BY = 1.5
"""A move of the same burst is news again when it has grown by half over what was shown."""

_KEPT = 500
_PROBE_EVERY = 20  # rounds of half a second

Shown = MutableMapping[tuple[str, str], tuple[int, float, str]]
"""What a session has shown: story and direction to (venue time of the newest alert, largest move shown, its market). A
story is an event, or a market where the event is not known."""


@dataclass(frozen=True, slots=True)
class Toast:
    """One pop-up: the alert of the shortest window, and how many more windows and markets of its event say the same."""

    alert: Alert
    more_windows: int
    more_markets: int = 0
    ended: Alert | None = None
    """How its episode ended meanwhile, where the page is told of both at once, as one that slept."""


@dataclass(frozen=True, slots=True)
class ToastPlan:
    """What to show now, and how many more there would have been."""

    toasts: tuple[Toast, ...]
    hidden: int


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a reader wants to be told of. Empty venues or categories mean all."""

    is_on: bool = True
    venues: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    least_pp: float = 0.0
    muted: tuple[str, ...] = ()
    """Words; a market in whose title or event one of them stands is not told of. Large and small letters are one."""

    def takes(self, alert: Alert) -> bool:
        """Whether an alert is among it; endings always are, as they belong to what was told at its size then."""
        names = f"{alert.title}\n{alert.event_title}".casefold()
        return (
            self.is_on
            and (not self.venues or alert.venue in self.venues)
            and (not self.categories or alert.category in self.categories)
            and (abs(size_pp(alert)) >= self.least_pp or alert.state in ENDED_STATES)
            and not any(word.casefold() in names for word in self.muted)
        )


ALL = Wanted()


def plan(alerts: Iterable[Alert], shown: Shown, limit: int = 3) -> ToastPlan:
    """Chooses the pop-ups among new alerts, and notes in `shown` what the reader has now been told.

    Confirmed and escalated moves count: what is detected may be gone in a minute. Settlements and moves across a gap
    do not shout, endings are no news. Of a story and direction only the market that moved furthest is shown, in its
    shortest window. Largest moves first; what goes over `limit` is counted, not shown.
    """
    groups: dict[tuple[str, str], list[Alert]] = {}
    ended: dict[str, Alert] = {}
    for alert in alerts:
        if alert.state in ENDED_STATES:
            ended[alert.alert_id] = alert
        if alert.kind == "move" and alert.state in ("confirmed", "escalated"):
            groups.setdefault((alert.event_key or alert.market_id, alert.direction), []).append(alert)
    toasts = [_toast(group, ended) for key, group in groups.items() if _is_news(key, group, shown)]
    toasts.sort(key=lambda toast: -abs(size_pp(toast.alert)))
    _forget_old(shown)
    return ToastPlan(tuple(toasts[:limit]), max(0, len(toasts) - limit))


def _toast(group: Sequence[Alert], ended: Mapping[str, Alert]) -> Toast:
    furthest = _furthest(group).market_id
    own = [alert for alert in group if alert.market_id == furthest]
    shortest = min(alert.window_s for alert in own)
    newest = max((alert for alert in own if alert.window_s == shortest), key=lambda alert: alert.ts_event_us)
    more_windows = len({w for alert in own for w in (alert.window_s, *alert.windows_s)}) - 1
    more_markets = len({alert.market_id for alert in group}) - 1
    return Toast(newest, more_windows, more_markets, ended.get(newest.alert_id))


def _is_news(key: tuple[str, str], group: Sequence[Alert], shown: Shown) -> bool:
    newest_us = max(alert.ts_event_us for alert in group)
    furthest = _furthest(group)
    now = (newest_us, abs(size_pp(furthest)), furthest.market_id)
    before = shown.get(key)
    if before is None or abs(newest_us - before[0]) >= BURST_US:
        shown[key] = now
        return True
    is_further = any(alert.state == "escalated" for alert in group) or furthest.market_id != before[2]
    is_news = is_further and now[1] >= before[1] * GREW_BY
    shown[key] = (max(newest_us, before[0]), *(now if is_news else before)[1:])
    return is_news


def _furthest(group: Sequence[Alert]) -> Alert:
    return max(group, key=lambda alert: abs(size_pp(alert)))


def _forget_old(shown: Shown) -> None:
    """A page may stay open for weeks: what is so old that whatever follows it is news need not be remembered. Twice as
    old, so that what arrives late still finds its burst."""
    newest_us = max((at_us for at_us, _, _ in shown.values()), default=0)
    for key in [key for key, (at_us, _, _) in shown.items() if newest_us - at_us > 2 * BURST_US]:
        del shown[key]


def size_pp(alert: Alert) -> float:
    """How far an alert says that the price has moved, in points; the most it was where it says nothing of now."""
    return alert.peak_move_pp if alert.move_pp is None else alert.move_pp


class AlertFeed:
    """Reads new alerts in a thread of its own and keeps the last few hundred, numbered. Sessions ask `since`.

    Args:
        kafka: where, and how we get in; the schema registry too.
    """

    def __init__(self, kafka: KafkaSettings) -> None:
        self._kafka = kafka
        self._registry = SchemaRegistry.of(kafka)
        self._codec = Codec(ALERTS, self._registry, Alert)
        self._kept: deque[tuple[int, Alert]] = deque(maxlen=_KEPT)
        self._lock = threading.Lock()
        self._next = 0
        self._stop = threading.Event()
        self.state = "connecting"
        """connecting, live or away."""
        self.undecodable = 0
        self._thread = threading.Thread(target=self._run, name="alert-feed", daemon=True)
        self._thread.start()

    def newest(self) -> int:
        """The number that the next alert will get: where a new session starts listening."""
        with self._lock:
            return self._next

    def since(self, number: int) -> tuple[list[Alert], int]:
        """Alerts numbered `number` or higher that are still kept, and where to go on."""
        with self._lock:
            return [alert for at, alert in self._kept if at >= number], self._next

    def is_alive(self) -> bool:
        """Whether the reader runs."""
        return self._thread.is_alive()

    def close(self) -> None:
        """Stops the reader."""
        self._stop.set()
        self._thread.join(timeout=10)
        self._registry.close()

    def _run(self) -> None:
        reader = consumer(
            self._kafka,
            f"dashboard-toasts-{uuid.uuid4().hex[:12]}",
            from_start=False,
            # The client's own complaints about an absent broker would repeat without end; `state` says it once.
            overrides={"log_level": 2, "client.id": "movers-dashboard", "topic.metadata.refresh.interval.ms": 15_000},
        )
        reader.subscribe([ALERTS.name])
        try:
            rounds = 0
            while not self._stop.is_set():
                if rounds % _PROBE_EVERY == 0 or self.state != "live":
                    self._probe(reader)
                rounds += 1
                for message in reader.consume(200, timeout=0.5):
                    if message.error() is None:
                        self._take(message.value() or b"")
        finally:
            reader.close()

    def _probe(self, reader: Consumer) -> None:
        try:
            known = ALERTS.name in reader.list_topics(timeout=1).topics
            state = "live" if known else "connecting"
        except KafkaException:
            state = "away"
        if state != self.state:
            log.info("alert_feed", state=state, before=self.state)
            self.state = state

    def _take(self, body: bytes) -> None:
        while not self._stop.is_set():
            try:
                alert = self._codec.decode(body)
            except UndecodableError as error:
                self.undecodable += 1
                log.warning("alert_undecodable", detail=str(error), so_far=self.undecodable)
                return
            except TransientError as error:  # the registry is away: the alert is worth waiting for
                log.warning("registry_away", detail=str(error))
                self._stop.wait(2)
                continue
            with self._lock:
                self._kept.append((self._next, alert))
                self._next += 1
            return
