"""What is due when, and whose turn it is."""

from __future__ import annotations

from bench.feeds.sender import due_frames, in_turn


def test_sockets_take_turns_until_each_of_their_markets_had_one() -> None:
    assert in_turn([[0, 3, 4], [1], [2, 5]]) == [0, 1, 2, 3, 5, 4]


def test_a_market_that_two_sockets_tell_has_one_turn() -> None:
    assert in_turn([range(4), range(4)]) == [0, 1, 2, 3]


def test_a_burst_comes_each_tenth_second_over_its_time() -> None:
    due = [due_frames(passed_s, 100, 50, 2.0) for passed_s in (0.0, 9.0, 10.0, 11.0, 12.0, 19.0, 22.0)]

    assert due == [0, 900, 1_000, 1_125, 1_250, 1_950, 2_300]
