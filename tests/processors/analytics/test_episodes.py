"""Stored alert states: they come back as they were, and bytes that are none are refused, never misread."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from processors.analytics.episodes import KINDS, AlertState, Episode, Told

_US = st.integers(1, 2**62)
_SIZES = st.floats(0, 100)
_KEYS = st.tuples(st.from_regex(r"[a-z0-9][a-z0-9_-]{0,39}", fullmatch=True), st.sampled_from([1, -1]))
_EPISODES = st.builds(
    Episode,
    kind=st.sampled_from(KINDS),
    confirmed=st.booleans(),
    across_gap=st.booleans(),
    opened_at_us=_US,
    onset_us=st.none() | _US,
    from_ppm=st.integers(0, 1_000_000),
    window_s=st.integers(1, 86_400),
    windows_s=st.lists(st.integers(1, 86_400), max_size=5).map(tuple),
    detected_pp=_SIZES,
    told_pp=_SIZES,
    peak_pp=_SIZES,
    threshold_pp=_SIZES,
)
_TOLD = st.builds(Told, at_us=_US, price_ppm=st.integers(0, 1_000_000), cool_until_us=_US)
_STATES = st.builds(
    AlertState,
    venue=st.sampled_from(["kalshi", "polymarket", "börse"]),
    token_id=st.text(max_size=60),
    newest_us=_US,
    close_us=st.none() | _US,
    episodes=st.dictionaries(_KEYS, _EPISODES, max_size=3),
    told=st.dictionaries(_KEYS, _TOLD, max_size=3),
)


@given(_STATES)
def test_a_stored_state_reads_back_as_it_was(state: AlertState) -> None:
    assert AlertState.unpack(state.pack()) == state


@given(_STATES, st.data())
def test_a_state_cut_short_or_too_long_is_refused(state: AlertState, data: st.DataObject) -> None:
    packed = state.pack()
    cut = data.draw(st.integers(0, len(packed) - 1))

    for broken in (packed[:cut], packed + b"\0"):
        with pytest.raises(ValueError, match="alert state"):
            AlertState.unpack(broken)


@given(_STATES, st.data())
def test_a_changed_byte_gives_a_state_or_a_refusal_and_nothing_else(state: AlertState, data: st.DataObject) -> None:
    packed = bytearray(state.pack())
    packed[data.draw(st.integers(0, len(packed) - 1))] = data.draw(st.integers(0, 255))

    try:
        read = AlertState.unpack(bytes(packed))
    except ValueError:
        return
    assert isinstance(read, AlertState)
