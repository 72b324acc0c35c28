"""Two connections that tell the same, either of which may die at any moment."""

from __future__ import annotations

import random

from producers.merge import Merge


def test_what_the_second_connection_brings_again_is_not_new() -> None:
    merge = Merge()
    told = [(1, 5, "a"), (1, 5, "b"), (2, 5, "a"), (2, 5, "b"), (2, 6, "c"), (1, 6, "c"), (1, 7, "d")]

    assert [merge.is_new(connection, "", "m", order, state) for connection, order, state in told] == [
        True, True, False, False, True, False, True,
    ]  # fmt: skip


def test_a_state_that_comes_back_within_one_order_is_new_again() -> None:
    merge = Merge()

    first = [merge.is_new(1, "", "m", 5, state) for state in "aba"]
    second = [merge.is_new(2, "", "m", 5, state) for state in "aba"]

    assert (first, second) == ([True] * 3, [False] * 3)


def test_an_older_state_of_the_slower_connection_is_not_new_and_markets_do_not_meet() -> None:
    merge = Merge()
    merge.is_new(1, "", "m", 9, "late")

    assert not merge.is_new(2, "", "m", 8, "early")
    assert merge.is_new(2, "", "other", 8, "early")


def test_channels_do_not_meet_and_are_forgotten_with_their_market() -> None:
    merge = Merge()
    merge.is_new(1, "", "m", 9, "a", "trade")
    merge.is_new(1, "", "n", 9, "a", "trade")

    assert merge.is_new(2, "", "m", 8, "a", "ticker")
    merge.forget("m")
    merge.forget("never seen")

    assert list(merge.markets()) == ["n"]


def test_a_quiet_market_takes_no_more_room_for_each_life_of_a_connection() -> None:
    merge = Merge()

    new = [merge.is_new(line, f"life {life}", "m", 5, "a") for life in range(100) for line in (1, 2)]

    assert new == [True, *[False] * 199]
    assert len(merge._newest["m"][""].told) == 2


def test_killed_at_random_two_connections_give_each_state_once_and_in_order() -> None:
    rng = random.Random(7)
    for _ in range(200):
        states = [(rng.choice("mn"), order, rng.random()) for order in range(40) for _ in range(rng.randint(1, 3))]
        merge, taken = Merge(), []
        at, lives = {1: 0, 2: 0}, {1: 0, 2: 0}
        while min(at.values()) < len(states):
            connection = rng.choice([c for c in (1, 2) if at[c] < len(states)])
            place = at[connection]
            other = at[3 - connection]
            if place < other and rng.random() < 0.1:  # dies, and comes back where the other one is
                at[connection] = other
                lives[connection] += 1
                continue
            market, order, state = states[place]
            if merge.is_new(connection, f"{lives[connection]}", market, order, state):
                taken.append(states[place])
            at[connection] += 1

        assert taken == states
