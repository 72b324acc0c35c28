"""When a move becomes an alert. The rule, version 1, in words:

An **episode** belongs to one market, one window and one direction (up or down). There is at most one at a time.

It is **opened** when the probability has moved by at least the threshold (10 percentage points unless set otherwise)
over a window that our history covers in full, and the move can be believed: the market is open, at least the minimum
of US dollars was traded in 24 hours, there is a bid and an ask no further apart than the maximum spread, the price is
the middle of the two, and no episode of the same kind ended so recently that its cool-down still lasts. When the
market is near its end and its price near 0 or 1, the episode is of kind *settlement*: it is listed, not shouted.

It is **escalated** when the move has grown to one and a half times what was last told, while the market is open and
the quote can still be believed. Each escalation sets the bar for the next.

It is **closed** as soon as one of these holds, in this order: the market is not open any more (*market_ended*); it has
no price any more (*price_lost*); the episode is as old as its window, so that the move it told of has left the window
(*rolled_off*); the move has changed its sign (*reversed*); the move has shrunk below half the threshold that was in
force when it opened (*faded*). Then the cool-down begins, in which no episode opens in its place.

Time is the venue's. The same moves give the same alerts with the same ids, however often they are replayed; a move that
is not newer than the last one changes nothing.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from schemas.events import Alert, Move, WindowMove
from schemas.units import PPM_PER_PP, US_PER_S, event_id
from schemas.words import AlertKind, CloseReason, Direction, EpisodeState

RULE_VERSION = "1"
ESCALATION_FACTOR = 1.5
CLOSING_SHARE = 0.5

UP, DOWN = 1, -1
_DIRECTIONS: Mapping[int, Direction] = {UP: "up", DOWN: "down"}
_KINDS: tuple[AlertKind, ...] = ("move", "settlement")

_VERSION = 1
_HEADER = struct.Struct("<BqHH")
_EPISODE = struct.Struct("<ibBqddd")
_COOLDOWN = struct.Struct("<ibq")

Key = tuple[int, int]
"""Window in seconds, direction."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertRule:
    """The numbers of the rule."""

    threshold_pp: float
    cooldown_s: int
    min_volume_24h_usd: float
    max_spread_pp: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Episode:
    """An open episode. `told_pp`: size of the move last told; `peak_pp`: largest so far; both positive."""

    kind: AlertKind
    opened_at_us: int
    told_pp: float
    peak_pp: float
    threshold_pp: float


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertState:
    """What is remembered of one market; None stands for nothing."""

    newest_us: int
    episodes: dict[Key, Episode]
    cooldowns_until_us: dict[Key, int]

    def pack(self) -> bytes:
        """The state as bytes; the first byte is the version."""
        parts = [_HEADER.pack(_VERSION, self.newest_us, len(self.episodes), len(self.cooldowns_until_us))]
        for (window_s, direction), e in self.episodes.items():
            numbers = (_KINDS.index(e.kind), e.opened_at_us, e.told_pp, e.peak_pp, e.threshold_pp)
            parts.append(_EPISODE.pack(window_s, direction, *numbers))
        parts.extend(_COOLDOWN.pack(*key, until) for key, until in self.cooldowns_until_us.items())
        return b"".join(parts)

    @classmethod
    def unpack(cls, data: bytes) -> AlertState:
        """The state in the bytes.

        Raises:
            ValueError: another version, or another length.
        """
        if len(data) < _HEADER.size or data[0] != _VERSION:
            raise ValueError(f"not an alert state of version {_VERSION}: {data[:8]!r}")
        _, newest_us, n_episodes, n_cooldowns = _HEADER.unpack_from(data)
        middle = _HEADER.size + n_episodes * _EPISODE.size
        if len(data) != middle + n_cooldowns * _COOLDOWN.size:
            raise ValueError(f"alert state cut short: {len(data)} bytes")
        episodes = {}
        for window_s, direction, kind, opened, told, peak, threshold in _EPISODE.iter_unpack(
            data[_HEADER.size : middle]
        ):
            episodes[window_s, direction] = Episode(
                kind=_KINDS[kind], opened_at_us=opened, told_pp=told, peak_pp=peak, threshold_pp=threshold
            )
        cooldowns = {
            (window_s, direction): until for window_s, direction, until in _COOLDOWN.iter_unpack(data[middle:])
        }
        return cls(newest_us=newest_us, episodes=episodes, cooldowns_until_us=cooldowns)


def is_late(state: AlertState | None, move: Move) -> bool:
    """Whether a move is not newer than the last one remembered: redelivered. It changes nothing."""
    return state is not None and move.ts_event_us <= state.newest_us


def update(state: AlertState | None, move: Move, rule: AlertRule) -> tuple[AlertState | None, tuple[Alert, ...]]:
    """Takes a move in; gives the state to keep (None when there is nothing to remember) and the alerts to publish.

    Titles, categories and addresses are left empty: the move does not know them.
    """
    if state is None:
        if not any(w.move_pp is not None and abs(w.move_pp) >= rule.threshold_pp for w in move.windows):
            return None, ()
        state = AlertState(newest_us=0, episodes={}, cooldowns_until_us={})
    elif is_late(state, move):
        return state, ()
    now_us = move.ts_event_us
    episodes = dict(state.episodes)
    cooldowns = {key: until for key, until in state.cooldowns_until_us.items() if until > now_us}
    windows = {w.window_s: w for w in move.windows}
    alerts: list[Alert] = []
    for key, episode in state.episodes.items():
        window = windows.get(key[0]) or WindowMove(window_s=key[0], coverage_s=0, computed_across_gap=False)
        later, alert = _follow(key, episode, window, move, rule)
        if alert is not None:
            alerts.append(alert)
        if later is not None:
            episodes[key] = later
            continue
        del episodes[key]
        if rule.cooldown_s:
            cooldowns[key] = now_us + rule.cooldown_s * US_PER_S
    for key, window in _openings(move, rule):
        # An episode that ended just now does not open again in the same breath, cool-down or not.
        if key not in state.episodes and key not in cooldowns:
            episodes[key] = _opened(window, move, rule)
            alerts.append(_alert("opened", key, episodes[key], window, move))
    if not episodes and not cooldowns:
        return None, tuple(alerts)
    return AlertState(newest_us=now_us, episodes=episodes, cooldowns_until_us=cooldowns), tuple(alerts)


def _follow(
    key: Key, episode: Episode, window: WindowMove, move: Move, rule: AlertRule
) -> tuple[Episode | None, Alert | None]:
    """What a move does to an open episode: the episode as it goes on, or None; and what there is to tell."""
    signed_pp = None if window.move_pp is None else window.move_pp * key[1]
    if signed_pp is not None and signed_pp > episode.peak_pp:
        episode = replace(episode, peak_pp=signed_pp)
    reason = _close_reason(key, episode, signed_pp, move)
    if reason is not None:
        return None, _alert("closed", key, episode, window, move, reason)
    if signed_pp is None or signed_pp < episode.told_pp * ESCALATION_FACTOR or not _is_believable(move, rule):
        return episode, None
    episode = replace(episode, told_pp=signed_pp, kind="settlement" if move.is_settling else episode.kind)
    return episode, _alert("escalated", key, episode, window, move)


def _close_reason(key: Key, episode: Episode, signed_pp: float | None, move: Move) -> CloseReason | None:
    if move.market_status != "open":
        return "market_ended"
    if move.price_ppm is None:
        return "price_lost"
    if move.ts_event_us >= episode.opened_at_us + key[0] * US_PER_S:
        return "rolled_off"
    if signed_pp is None:
        return None
    if signed_pp < 0:
        return "reversed"
    return "faded" if signed_pp < episode.threshold_pp * CLOSING_SHARE else None


def _openings(move: Move, rule: AlertRule) -> Iterator[tuple[Key, WindowMove]]:
    """Windows whose move is large enough, fully covered, and can be believed."""
    if not _is_believable(move, rule):
        return
    for window in move.windows:
        move_pp = window.move_pp
        if move_pp is not None and abs(move_pp) >= rule.threshold_pp and window.coverage_s >= window.window_s:
            yield (window.window_s, UP if move_pp > 0 else DOWN), window


def _is_believable(move: Move, rule: AlertRule) -> bool:
    """Open, traded enough, and quoted tightly on both sides."""
    return (
        move.market_status == "open"
        and move.volume_24h_usd is not None
        and move.volume_24h_usd >= rule.min_volume_24h_usd
        and move.price_basis == "mid"
        and move.spread_ppm is not None
        and move.spread_ppm <= rule.max_spread_pp * PPM_PER_PP
    )


def _opened(window: WindowMove, move: Move, rule: AlertRule) -> Episode:
    size_pp = abs(window.move_pp or 0.0)
    return Episode(
        kind="settlement" if move.is_settling else "move",
        opened_at_us=move.ts_event_us,
        told_pp=size_pp,
        peak_pp=size_pp,
        threshold_pp=rule.threshold_pp,
    )


def _alert(
    state: EpisodeState,
    key: Key,
    episode: Episode,
    window: WindowMove,
    move: Move,
    close_reason: CloseReason | None = None,
) -> Alert:
    window_s, direction = key
    alert_id = event_id(move.market_id, window_s, _DIRECTIONS[direction], episode.opened_at_us)
    return Alert(
        event_id=event_id(alert_id, state, move.ts_event_us),
        alert_id=alert_id,
        state=state,
        kind=episode.kind,
        venue=move.venue,
        market_id=move.market_id,
        token_id=move.token_id,
        ts_event_us=move.ts_event_us,
        ts_received_us=move.ts_received_us,
        title="",
        category="",
        url="",
        window_s=window_s,
        direction=_DIRECTIONS[direction],
        opened_at_us=episode.opened_at_us,
        price_ppm=move.price_ppm,
        price_then_ppm=window.price_then_ppm,
        move_pp=window.move_pp,
        peak_move_pp=episode.peak_pp * direction,
        threshold_pp=episode.threshold_pp,
        score=window.score,
        volume_24h_usd=move.volume_24h_usd,
        spread_ppm=move.spread_ppm,
        seconds_to_close=move.seconds_to_close,
        computed_across_gap=window.computed_across_gap,
        close_reason=close_reason,
        rule_version=RULE_VERSION,
    )
