"""When a move becomes an alert. The rule, version 6, in words:

An **episode** belongs to one rule, one market and one direction (up or down). There is at most one at a time; the
windows that say the same are its fields.

It is **detected** when the price has moved by at least the rule's threshold (6 percentage points unless set
otherwise) over a window that has a price at its start, like compared with like, and the move can be believed: the
market is open, at least the minimum of US dollars was traded in 24 hours (and inside the window, where a rule asks for
it), there is a bid and an ask no further apart than the maximum spread, the price is the middle of the two, and the
price is at least a third of the move away from its own time-weighted mean over the window, so that the echo of an old
spike is no move. What was told is not told again: where the last message of the same rule and direction lies inside a
window, only what the price has moved beyond the price told then counts (after a reversion: beyond the price from which
the false step had begun). The shortest window that says so leads.

And it is unusual: where the price has changed five times or more, the move of the window that leads is at least six of
the market's usual steps, in log-odds (a rule may say another number). In a lively market that is quoted minutes apart
six points lie between two quotes.

While an episode of kind *across_gap* runs, a move over a window without a gap is news of its own: the old episode is
closed as *superseded*, and a new one is detected at once, without a cool-down.

An episode of a market near its end with a price near 0 or 1 is of kind *settlement*, one whose window holds a gap of
the feed of kind *across_gap*: both are listed, not shouted.

55 seconds later, with the first quote from then on, it is **confirmed** when at least half of the move still stands, in
the median price of the last 40 seconds and in the price now. Else it is **reverted**, and over. A market polled each
minute or faster is so decided within 60 seconds of its detection. Only a quote that is two-sided and still tight judges
(its spread at most twice the rule's maximum, or half the move: books are thin after news). Where a thin book empties or
gapes after a step, the first such quote that comes back decides.

A confirmed episode is **escalated** when the move has grown to one and a half times the most that was told of it and
the quote can be believed. Each escalation sets the bar for the next.

It is **closed** as soon as one of these holds, in this order: its rule is gone (*rule_removed*); the market is not
open any more (*market_ended*); or, of a confirmed one: it has no price any more (*price_lost*); the episode is as old
as its window (*rolled_off*); the move has changed its sign (*reversed*); the move has shrunk below half the threshold
that was in force at detection (*faded*). Like with like here too: a last trade, where there is no mid, neither ends an
episode as reversed or faded nor escalates it. Where no quote comes, time decides: an undecided episode is reverted
after 16 minutes (the slowest sweep and a bit), a confirmed one closed a minute after its window (or after the quote
that confirmed it, where that came later), or an hour after its market's expected end.

After an end no episode of the same rule, market and direction opens for two minutes, or for the cool-down where that is
shorter. After a closing the rest of the cool-down follows, in which only a move of twice the threshold opens one: what
is that large is no echo of what was told. What follows a reversion may be the true step, and needs the threshold only.

Time is the venue's. The same moves give the same alerts with the same ids, however often they are replayed; a move that
is not newer than the last one changes nothing. We say that a step happened, never that it will last.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final

from processors.analytics import reasons
from processors.analytics.episodes import AlertState, Episode, Key, Told
from processors.analytics.rules import DOWN, LOGIC_VERSION, UP, Rule
from processors.analytics.scoring import known_steps
from schemas.events import Alert, Move, WindowMove
from schemas.frozen import dataclass
from schemas.units import PPM_PER_PP, US_PER_S, event_id
from schemas.words import AlertKind, Category, CloseReason, Direction, EpisodeState, UnknownCategory

ESCALATION_FACTOR: Final = 1.5
CLOSING_SHARE: Final = 0.5
STANDING_SHARE: Final = 0.5
REFERENCE_SHARE: Final = 1 / 3
STILL_TIGHT_FACTOR: Final = 2.0
DECIDED_AFTER_US: Final = 55 * US_PER_S
QUIET_S: Final = 120
COOLING_FACTOR: Final = 2.0
UNDECIDED_AFTER_US: Final = 16 * 60 * US_PER_S
CLOSED_BY_TIME_AFTER_US: Final = 60 * US_PER_S
ENDED_BY_TIME_AFTER_US: Final = 3600 * US_PER_S

_DIRECTIONS: Mapping[int, Direction] = {UP: "up", DOWN: "down"}

Alerts = tuple[Alert, ...]


@dataclass(frozen=True, slots=True)
class _Begun:
    """An episode that begins with a move, and what tells of it."""

    key: Key
    rule: Rule
    episode: Episode
    alert: Alert


def update(
    state: AlertState | None, move: Move, rules: Sequence[Rule], category: Category | UnknownCategory = ""
) -> tuple[AlertState | None, Alerts]:
    """Takes a move in; gives the state to keep (None when there is nothing to remember) and the alerts to publish.

    Titles, categories and addresses are left empty: the move does not know them.

    Args:
        state: what is remembered of the market.
        move: its newest move.
        rules: the rules in force, names distinct.
        category: of the market, for rules that ask for one.
    """
    if state is None:
        if not _is_large(move, rules):
            return None, ()
        state = AlertState(venue=move.venue, token_id=move.token_id, newest_us=0, close_us=None, episodes={}, told={})
    elif move.ts_event_us <= state.newest_us:  # redelivered
        return state, ()
    state, ended = _by_time(state, move.market_id, move.ts_event_us, rules)
    episodes, told = dict(state.episodes), dict(state.told)
    begun = _detect_new(state, move, rules, category)
    superseded = _supersede(begun, move, episodes)
    followed = _follow_open(move, rules, episodes, told)
    detected = _open_new(begun, episodes, told)
    return _kept(move, episodes, told), (*ended, *superseded, *followed, *detected)


def _detect_new(
    state: AlertState, move: Move, rules: Sequence[Rule], category: Category | UnknownCategory
) -> list[_Begun]:
    """The episodes that begin with a move: where none was open, or one across a gap that a move without one ends."""
    begun = []
    for rule in rules:
        for direction in (UP, DOWN):
            key = (rule.name, direction)
            running = state.episodes.get(key)
            # An episode that ends just now does not open again in the same breath, cool-down or not.
            if running is not None and running.kind != "across_gap":
                continue
            if not _may_detect(rule, direction, move, category):
                continue
            new = _detect(rule, direction, move, state.told.get(key))
            if new is None or (running is not None and new.episode.across_gap):
                continue
            begun.append(new)
    return begun


def _supersede(begun: Sequence[_Begun], move: Move, episodes: dict[Key, Episode]) -> list[Alert]:
    """Ends, in `episodes`, those in whose place others begin; the alerts to publish. What was told stays told."""
    made = []
    for new in begun:
        episode = episodes.pop(new.key, None)
        if episode is None:
            continue
        text = "superseded by a move without a gap"
        alert = _alert("closed", new.key, episode, move, new.rule, text, "superseded")
        if not _is_silent(episode, alert):
            made.append(alert)
    return made


def _may_detect(rule: Rule, direction: int, move: Move, category: Category | UnknownCategory) -> bool:
    """Whether a rule looks at such a move, and believes it."""
    return rule.looks_along(direction) and is_believable(move, rule) and rule.looks_at(move, category)


def _follow_open(move: Move, rules: Sequence[Rule], episodes: dict[Key, Episode], told: dict[Key, Told]) -> list[Alert]:
    """What a move does to the open episodes, noted in `episodes` and `told`; the alerts to publish."""
    by_name = {rule.name: rule for rule in rules}
    made = []
    for key, episode in list(episodes.items()):
        later, alert = _follow(key, episode, move, by_name.get(key[0]))
        if later is None:
            del episodes[key]
        else:
            episodes[key] = later
        if alert is None:
            continue
        told[key] = _told(key, episode, alert, told.get(key), by_name.get(key[0]))
        if not _is_silent(episode, alert):
            made.append(alert)
    return made


def _open_new(begun: Sequence[_Begun], episodes: dict[Key, Episode], told: dict[Key, Told]) -> list[Alert]:
    """Opens the episodes that begin, in `episodes` and `told`; the alerts to publish."""
    made = []
    for new in begun:
        episodes[new.key] = new.episode
        told[new.key] = _told(new.key, new.episode, new.alert, None, new.rule)
        if not _is_silent(new.episode, new.alert):
            made.append(new.alert)
    return made


def due_us(state: AlertState | None) -> int | None:
    """When `by_time` has something to say, if no move comes before; None when nothing is open. Venue time."""
    if state is None or not state.episodes:
        return None
    return min(_due_us(state, episode) for episode in state.episodes.values())


def by_time(
    state: AlertState | None, market_id: str, now_us: int, rules: Sequence[Rule]
) -> tuple[AlertState | None, Alerts]:
    """Ends what venue time `now_us`, as other markets show it, has ended although no move came.

    The alerts are dated when their time had come, not when it was noticed, so that their ids do not depend on it.
    """
    return (None, ()) if state is None else _by_time(state, market_id, now_us, rules)


def _by_time(state: AlertState, market_id: str, now_us: int, rules: Sequence[Rule]) -> tuple[AlertState, Alerts]:
    if not any(_due_us(state, episode) <= now_us for episode in state.episodes.values()):
        return state, ()
    by_name = {rule.name: rule for rule in rules}
    episodes, told, made = dict(state.episodes), dict(state.told), []
    for key, episode in state.episodes.items():
        at_us = _due_us(state, episode)
        if at_us > now_us:
            continue
        rule = by_name.get(key[0])
        ended = state.close_us is not None and at_us >= state.close_us
        why: CloseReason = "market_ended" if ended else "rolled_off"
        word: EpisodeState = "closed" if episode.confirmed else "reverted"
        text = f"{why.replace('_', ' ')}; no quote came" if episode.confirmed else "no tight quote came to judge it by"
        alert = _bare(word, key, episode, market_id, state.venue, state.token_id, at_us, rule, text)
        if episode.confirmed:
            alert = replace(alert, close_reason=why)
        del episodes[key]
        told[key] = _told(key, episode, alert, told.get(key), rule)
        if not _is_silent(episode, alert):
            made.append(alert)
    return replace(state, episodes=episodes, told=told), tuple(made)


def _due_us(state: AlertState, episode: Episode) -> int:
    if not episode.confirmed:
        return episode.opened_at_us + UNDECIDED_AFTER_US
    # A quote after the window's end that did not close the episode is the one that confirmed it.
    rolled_us = max(episode.opened_at_us + episode.window_s * US_PER_S, state.newest_us) + CLOSED_BY_TIME_AFTER_US
    if state.close_us is None or state.close_us < episode.opened_at_us:
        return rolled_us
    return min(rolled_us, max(state.close_us, state.newest_us) + ENDED_BY_TIME_AFTER_US)


def _is_large(move: Move, rules: Sequence[Rule]) -> bool:
    """Whether any window reaches any threshold: the only moves that begin something."""
    largest_pp = 0.0
    for window in move.windows:
        if window.move_pp is not None:
            largest_pp = max(largest_pp, abs(window.move_pp))
    return any(largest_pp >= rule.threshold_pp for rule in rules)


def is_believable(move: Move, rule: Rule) -> bool:
    """Open, traded enough, and quoted tightly on both sides."""
    return (
        move.market_status == "open"
        and move.volume_24h_usd is not None
        and move.volume_24h_usd >= rule.min_volume_24h_usd
        and move.price_basis == "mid"
        and move.spread_ppm is not None
        and move.spread_ppm <= rule.max_spread_pp * PPM_PER_PP
    )


def _detect(rule: Rule, direction: int, move: Move, told: Told | None) -> _Begun | None:
    threshold_pp = _threshold_pp(rule, move, told)
    if threshold_pp is None:
        return None
    saying = [w for w in move.windows if _says(w, rule, direction, move, told, threshold_pp)]
    if not saying or move.price_ppm is None:
        return None
    window = saying[0]
    from_ppm = _base_ppm(window, direction, move, told)
    steps = known_steps(from_ppm, move)
    if steps is not None and steps < rule.min_usual_steps:
        return None
    size_pp = (move.price_ppm - from_ppm) * direction / PPM_PER_PP
    kind: AlertKind = "settlement" if move.is_settling else "across_gap" if window.computed_across_gap else "move"
    episode = Episode(
        kind=kind,
        confirmed=False,
        across_gap=window.computed_across_gap,
        opened_at_us=move.ts_event_us,
        onset_us=window.onset_us,
        from_ppm=from_ppm,
        window_s=window.window_s,
        windows_s=tuple(w.window_s for w in saying),
        detected_pp=size_pp,
        told_pp=0.0 if rule.confirmed_only else size_pp,
        peak_pp=size_pp,
        threshold_pp=threshold_pp,
    )
    key = (rule.name, direction)
    alert = _alert("detected", key, episode, move, rule, reasons.detected(rule, episode, move, window))
    return _Begun(key, rule, episode, alert)


def _threshold_pp(rule: Rule, move: Move, told: Told | None) -> float | None:
    """How large a move has to be to open an episode now; None where nothing opens one."""
    if told is None or move.ts_event_us >= told.cool_until_us:
        return rule.threshold_pp
    return None if move.ts_event_us < told.at_us + QUIET_S * US_PER_S else rule.threshold_pp * COOLING_FACTOR


def _says(window: WindowMove, rule: Rule, direction: int, move: Move, told: Told | None, threshold_pp: float) -> bool:
    """Whether a window's move, as far as it is news, is large enough, covered, paid for and no echo."""
    if window.move_pp is None or move.price_ppm is None or window.coverage_s < window.window_s:
        return False
    if rule.windows_s and window.window_s not in rule.windows_s:
        return False
    news_ppm = (move.price_ppm - _base_ppm(window, direction, move, told)) * direction
    if news_ppm < threshold_pp * PPM_PER_PP:
        return False
    if rule.min_window_usd and (window.volume_usd is None or window.volume_usd < rule.min_window_usd):
        return False
    if window.reference_ppm is None:
        return True
    away_pp = (move.price_ppm - window.reference_ppm) * direction / PPM_PER_PP
    return away_pp >= window.move_pp * direction * REFERENCE_SHARE


def _base_ppm(window: WindowMove, direction: int, move: Move, told: Told | None) -> int:
    """From which price a window counts: the as-of price, or the price last told inside the window if that is nearer."""
    then_ppm = window.price_then_ppm or 0
    if told is None or told.at_us < move.ts_event_us - window.window_s * US_PER_S:
        return then_ppm
    return max(then_ppm, told.price_ppm) if direction == UP else min(then_ppm, told.price_ppm)


def _follow(key: Key, episode: Episode, move: Move, rule: Rule | None) -> tuple[Episode | None, Alert | None]:
    """What a move does to an open episode: the episode as it goes on, or None; and what there is to tell."""
    size_pp = _size_pp(key[1], episode, move, move.price_ppm)
    if size_pp is not None and size_pp > episode.peak_pp:
        episode = replace(episode, peak_pp=size_pp)
    ended: CloseReason | None = None
    if rule is None:
        ended = "rule_removed"
    elif move.market_status != "open":
        ended = "market_ended"
    elif not episode.confirmed:
        if move.price_ppm is None or move.ts_event_us < episode.opened_at_us + DECIDED_AFTER_US:
            return episode, None
        return _decide(key, episode, move, rule, size_pp)
    elif move.price_ppm is None:
        ended = "price_lost"
    elif move.ts_event_us >= episode.opened_at_us + episode.window_s * US_PER_S:
        ended = "rolled_off"
    elif size_pp is not None and size_pp < 0:
        ended = "reversed"
    elif size_pp is not None and size_pp < episode.threshold_pp * CLOSING_SHARE:
        ended = "faded"
    if ended is not None:
        text = ended.replace("_", " ") + (
            "" if size_pp is None else f" at {size_pp:.1f} pp, peak {episode.peak_pp:.1f}"
        )
        return None, _alert("closed", key, episode, move, rule, text, ended)
    if rule is None or size_pp is None or size_pp < episode.told_pp * ESCALATION_FACTOR:
        return episode, None
    if not is_believable(move, rule):
        return episode, None
    text = f"abs_move_pp {size_pp:.1f} >= {ESCALATION_FACTOR:g} x {episode.told_pp:.1f} told"
    episode = replace(episode, told_pp=size_pp, kind="settlement" if move.is_settling else episode.kind)
    return episode, _alert("escalated", key, episode, move, rule, text)


def _decide(
    key: Key, episode: Episode, move: Move, rule: Rule, size_pp: float | None
) -> tuple[Episode | None, Alert | None]:
    """Confirmed or reverted: whether half of it stands, in the median and now. Only a tight quote judges."""
    held_pp = _size_pp(key[1], episode, move, move.standing_ppm)
    if size_pp is None or held_pp is None or move.spread_ppm is None:
        return episode, None
    spread_pp = move.spread_ppm / PPM_PER_PP
    if spread_pp > max(rule.max_spread_pp * STILL_TIGHT_FACTOR, size_pp / 2):
        return episode, None
    after_s = (move.ts_event_us - episode.opened_at_us) / US_PER_S
    if min(size_pp, held_pp) < episode.detected_pp * STANDING_SHARE:
        text = reasons.reverted(episode, held_pp, size_pp, after_s)
        return None, _alert("reverted", key, episode, move, rule, text)
    text = reasons.confirmed(episode, held_pp, size_pp, after_s, spread_pp)
    kind: AlertKind = "settlement" if move.is_settling else episode.kind
    episode = replace(episode, confirmed=True, told_pp=max(size_pp, episode.detected_pp), kind=kind)
    return episode, _alert("confirmed", key, episode, move, rule, text)


def _size_pp(direction: int, episode: Episode, move: Move, price_ppm: int | None) -> float | None:
    """How far a price is from the episode's beginning, along its direction. Like with like: None unless it is a mid."""
    if price_ppm is None or move.price_basis != "mid":
        return None
    return (price_ppm - episode.from_ppm) * direction / PPM_PER_PP


def _told(key: Key, episode: Episode, alert: Alert, before: Told | None, rule: Rule | None) -> Told:
    """What the reader knows after an alert: a reverted move was none, so he is back where it began."""
    cooldown_s = 0
    if rule is not None and alert.state == "closed":
        cooldown_s = rule.cooldown_s
    elif rule is not None and alert.state == "reverted":
        cooldown_s = min(rule.cooldown_s, QUIET_S)
    price_ppm = before.price_ppm if before is not None else episode.from_ppm
    if alert.state == "reverted":
        price_ppm = episode.from_ppm
    elif alert.price_ppm is not None and alert.move_pp is not None:
        price_ppm = alert.price_ppm
    return Told(
        at_us=alert.ts_event_us,
        price_ppm=price_ppm,
        cool_until_us=alert.ts_event_us + cooldown_s * US_PER_S,
    )


def _is_silent(episode: Episode, alert: Alert) -> bool:
    """Whether nobody is to hear of it: nothing was told of the episode yet, nor is it confirmed now."""
    return episode.told_pp == 0.0 and alert.state != "confirmed"


def _kept(move: Move, episodes: dict[Key, Episode], told: dict[Key, Told]) -> AlertState | None:
    """The state to keep: what was told matters while a window reaches back to it, or it cools down."""
    now_us = move.ts_event_us
    oldest_us = now_us - max((w.window_s for w in move.windows), default=0) * US_PER_S
    told = {k: t for k, t in told.items() if k in episodes or t.at_us >= oldest_us or t.cool_until_us > now_us}
    if not episodes and not told:
        return None
    return AlertState(
        venue=move.venue,
        token_id=move.token_id,
        newest_us=now_us,
        close_us=None if move.seconds_to_close is None else now_us + move.seconds_to_close * US_PER_S,
        episodes=episodes,
        told=told,
    )


def _alert(
    state: EpisodeState,
    key: Key,
    episode: Episode,
    move: Move,
    rule: Rule | None,
    reason: str,
    close_reason: CloseReason | None = None,
) -> Alert:
    window = next((w for w in move.windows if w.window_s == episode.window_s), None)
    size_pp = _size_pp(key[1], episode, move, move.price_ppm)
    shown = rule or Rule(name=key[0])
    speaks_for, speaks_against = reasons.factors(shown, key[1], episode, move, window)
    bare = _bare(state, key, episode, move.market_id, move.venue, move.token_id, move.ts_event_us, rule, reason)
    return replace(
        bare,
        ts_received_us=move.ts_received_us,
        price_ppm=move.price_ppm,
        move_pp=None if size_pp is None else size_pp * key[1],
        score=None if window is None else window.score,
        volume_24h_usd=move.volume_24h_usd,
        spread_ppm=move.spread_ppm,
        seconds_to_close=move.seconds_to_close,
        close_reason=close_reason,
        severity=reasons.severity(shown, key[1], episode, move, window),
        factors_for=speaks_for,
        factors_against=speaks_against,
        window_volume_usd=None if window is None else window.volume_usd,
        window_trades=None if window is None else window.trades,
    )


def alert_id(key: Key, market_id: str, episode: Episode) -> str:
    """The name of an episode, the same in every replay."""
    name, direction = key
    return event_id(name, market_id, _DIRECTIONS[direction], episode.opened_at_us)


def _bare(
    state: EpisodeState,
    key: Key,
    episode: Episode,
    market_id: str,
    venue: str,
    token_id: str,
    at_us: int,
    rule: Rule | None,
    reason: str,
) -> Alert:
    """An alert with what the episode itself knows."""
    name, direction = key
    episode_id = alert_id(key, market_id, episode)
    return Alert(
        event_id=event_id(episode_id, state, at_us),
        alert_id=episode_id,
        state=state,
        kind=episode.kind,
        venue=venue,
        market_id=market_id,
        token_id=token_id,
        ts_event_us=at_us,
        ts_received_us=at_us,
        title="",
        category="",
        url="",
        window_s=episode.window_s,
        direction=_DIRECTIONS[direction],
        opened_at_us=episode.opened_at_us,
        price_then_ppm=episode.from_ppm,
        peak_move_pp=episode.peak_pp * direction,
        threshold_pp=episode.threshold_pp,
        computed_across_gap=episode.across_gap,
        rule_version=LOGIC_VERSION if rule is None else rule.version,
        rule=name,
        windows_s=episode.windows_s,
        reason=reason,
        onset_ts_us=episode.onset_us,
    )
