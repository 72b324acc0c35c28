"""What is remembered of a market's alerts: its open episodes, and what was told of it last."""

from __future__ import annotations

import struct
from typing import Final

from schemas.frozen import dataclass
from schemas.words import AlertKind

KINDS: tuple[AlertKind, ...] = ("move", "settlement", "across_gap")
"""In an order that stored episodes count by: a new word goes to the end."""

Key = tuple[str, int]
"""Name of the rule, direction."""

_VERSION: Final = 2
# version, newest, end of the market (0 unknown), length of venue and token, episodes, told
_HEADER: Final = struct.Struct("<BqqBBHH")
# length of the rule's name, direction, kind, confirmed, across gap, windows, opened, onset (0 unknown), from, window,
# size at detection, told, peak, threshold
_EPISODE: Final = struct.Struct("<BbBBBBqqiidddd")
# length of the rule's name, direction, when, price, cool-down until
_TOLD: Final = struct.Struct("<Bbqiq")


@dataclass(frozen=True, slots=True, kw_only=True)
class Episode:
    """An open episode. Sizes are positive percentage points, counted from `from_ppm` in the episode's direction.

    `window_s` is the shortest window that said so, `windows_s` all of them. `detected_pp` is the size at detection,
    `told_pp` the size last told (0 while a rule for confirmed ones keeps it to itself), `peak_pp` the largest so far.
    """

    kind: AlertKind
    confirmed: bool
    across_gap: bool
    opened_at_us: int
    onset_us: int | None
    from_ppm: int
    window_s: int
    windows_s: tuple[int, ...]
    detected_pp: float
    told_pp: float
    peak_pp: float
    threshold_pp: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What was last told of a market by one rule in one direction: when, at which price, and what must cool down."""

    at_us: int
    price_ppm: int
    cool_until_us: int


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertState:
    """What is remembered of one market; None stands for nothing. `close_us`: its expected end, None unknown."""

    venue: str
    token_id: str
    newest_us: int
    close_us: int | None
    episodes: dict[Key, Episode]
    told: dict[Key, Told]

    def pack(self) -> bytes:
        """The state as bytes; the first byte is the version."""
        venue, token = self.venue.encode(), self.token_id.encode()
        counts = (len(venue), len(token), len(self.episodes), len(self.told))
        parts = [_HEADER.pack(_VERSION, self.newest_us, self.close_us or 0, *counts), venue, token]
        for (name, direction), e in self.episodes.items():
            rule = name.encode()
            words = (len(rule), direction, KINDS.index(e.kind), e.confirmed, e.across_gap, len(e.windows_s))
            places = (e.opened_at_us, e.onset_us or 0, e.from_ppm, e.window_s)
            parts.append(_EPISODE.pack(*words, *places, e.detected_pp, e.told_pp, e.peak_pp, e.threshold_pp))
            parts.append(rule)
            parts.append(struct.pack(f"<{len(e.windows_s)}i", *e.windows_s))
        for (name, direction), t in self.told.items():
            rule = name.encode()
            parts.append(_TOLD.pack(len(rule), direction, t.at_us, t.price_ppm, t.cool_until_us))
            parts.append(rule)
        return b"".join(parts)

    @classmethod
    def unpack(cls, data: bytes) -> AlertState:
        """The state in the bytes.

        Raises:
            ValueError: another version, or another length.
        """
        if len(data) < _HEADER.size or data[0] != _VERSION:
            raise ValueError(f"not an alert state of version {_VERSION}: {data[:8]!r}")
        try:
            state, end = _unpack(data)
        except (struct.error, UnicodeDecodeError, IndexError) as error:
            raise ValueError(f"alert state cut short: {len(data)} bytes") from error
        if end != len(data):
            raise ValueError(f"alert state of {end} bytes in {len(data)}")
        return state


def _unpack(data: bytes) -> tuple[AlertState, int]:
    _, newest, close, venue_bytes, token_bytes, n_episodes, n_told = _HEADER.unpack_from(data)
    at = _HEADER.size
    venue, at = data[at : at + venue_bytes].decode(), at + venue_bytes
    token, at = data[at : at + token_bytes].decode(), at + token_bytes
    episodes: dict[Key, Episode] = {}
    for _ in range(n_episodes):
        key, episode, at = _unpack_episode(data, at)
        episodes[key] = episode
    told: dict[Key, Told] = {}
    for _ in range(n_told):
        name_bytes, direction, at_us, price, cool = _TOLD.unpack_from(data, at)
        at += _TOLD.size
        name, at = data[at : at + name_bytes].decode(), at + name_bytes
        told[name, direction] = Told(at_us=at_us, price_ppm=price, cool_until_us=cool)
    state = AlertState(
        venue=venue, token_id=token, newest_us=newest, close_us=close or None, episodes=episodes, told=told
    )
    return state, at


def _unpack_episode(data: bytes, at: int) -> tuple[Key, Episode, int]:
    values = _EPISODE.unpack_from(data, at)
    name_bytes, direction, kind, confirmed, across, n_windows, opened, onset, from_ppm, window_s = values[:10]
    detected, told, peak, threshold = values[10:]
    at += _EPISODE.size
    name, at = data[at : at + name_bytes].decode(), at + name_bytes
    windows = struct.unpack_from(f"<{n_windows}i", data, at)
    episode = Episode(
        kind=KINDS[kind],
        confirmed=bool(confirmed),
        across_gap=bool(across),
        opened_at_us=opened,
        onset_us=onset or None,
        from_ppm=from_ppm,
        window_s=window_s,
        windows_s=windows,
        detected_pp=detected,
        told_pp=told,
        peak_pp=peak,
        threshold_pp=threshold,
    )
    return (name, direction), episode, at + 4 * n_windows
