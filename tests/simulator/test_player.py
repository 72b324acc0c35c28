"""A tape in lockstep: it stands at a moment until that moment was served, and at no other's word."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from schemas.units import US_PER_S
from simulator.player import Player
from simulator.tape import Line, Market, Quote, RecordedTape

T0 = 1_764_851_236 * US_PER_S


def player(*at_us: int, listed_us: int | None = None) -> Player:
    """One market with a quote at each of these microseconds after the start; each bid is its number, in per cent."""
    lines: list[Line] = [Market(venue="kalshi", market="M", title="t", ts_us=listed_us)]
    lines += [Quote(T0 + at, "M", number * 10_000, 990_000) for number, at in enumerate(at_us, start=1)]
    return Player("kalshi", RecordedTape(lines), None)


def sweep(playing: Player) -> int:
    """A whole sweep; the moment that it saw."""
    playing.sweep_begins()
    seen_us = playing.now_us()
    playing.sweep_served(seen_us)
    return seen_us


def bid(playing: Player) -> int:
    """The number of the quote that is in force."""
    return (playing.world.states["M"].bid_ppm or 0) // 10_000


@given(st.lists(st.integers(0, 9 * US_PER_S), min_size=1, max_size=20).map(sorted))
def test_served_sweep_by_sweep_each_second_shows_the_last_quote_at_or_before_it(at_us: list[int]) -> None:
    playing = player(*at_us)
    seen = []
    while not playing.finished:
        seen.append((sweep(playing), bid(playing)))

    seconds = sorted({-(-at // US_PER_S) for at in at_us})
    assert seen == [(T0 + s * US_PER_S, sum(at <= s * US_PER_S for at in at_us)) for s in seconds]


def test_a_sweep_of_an_earlier_moment_moves_nothing() -> None:
    playing = player(0, US_PER_S, 5 * US_PER_S)
    first_us = playing.now_us()
    assert (sweep(playing), sweep(playing)) == (first_us, first_us + US_PER_S)

    playing.sweep_served(first_us)

    assert (playing.now_us(), bid(playing), playing.moments_served) == (T0 + US_PER_S, 2, 2)
    assert playing.sweeps_of_moment == 1


def test_a_moment_lasts_until_the_sweep_after_the_one_that_saw_it_begins() -> None:
    playing = player(0, US_PER_S)
    playing.sweep_begins()

    playing.sweep_served(playing.now_us())

    assert (playing.now_us(), bid(playing)) == (T0, 1), "what is asked meanwhile is of the same moment"
    playing.sweep_begins()
    assert (playing.now_us(), bid(playing)) == (T0 + US_PER_S, 2)
    playing.sweep_begins()
    assert playing.now_us() == T0 + US_PER_S, "begun anew it still has not been seen whole"


def test_while_it_is_held_a_moment_is_served_as_often_as_one_likes_and_counts_once() -> None:
    playing = player(0, US_PER_S)
    playing.hold(True)
    for _ in range(3):
        sweep(playing)
    assert (playing.now_us(), playing.moments_served, playing.sweeps_of_moment) == (T0, 1, 3)

    playing.hold(False)
    playing.sweep_begins()

    assert (playing.now_us(), playing.moments_served, bid(playing)) == (T0 + US_PER_S, 1, 2)


def test_it_is_finished_when_its_last_moment_was_served_and_not_before() -> None:
    playing = player(0)
    assert not playing.finished

    playing.sweep_served(playing.now_us())

    assert playing.finished
    assert playing.now_us() == T0


def test_a_line_from_elsewhere_is_played_at_once_and_leaves_the_moment() -> None:
    playing = player(0, US_PER_S)

    playing.inject(Quote(T0, "M", 770_000, 990_000))

    assert (bid(playing), playing.now_us()) == (77, T0)
