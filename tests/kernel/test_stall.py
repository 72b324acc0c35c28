"""Which partitions are held to be stuck."""

from __future__ import annotations

from kernel.stall import JOINS_WITHIN_S, LONGEST_BLINK_S, PATIENCE_S, Joining, Stall

A, B = ("ticks", 0), ("ticks", 1)
LOOK_S = 5.0


def _first_stuck_s(stall: Stall, end: int, position: int, start_s: float = 0.0) -> float | None:
    for look in range(40):
        if stall.stuck({A: end}, {A: position}, start_s + look * LOOK_S):
            return look * LOOK_S
    return None


def test_a_partition_with_more_to_read_that_stands_still_is_stuck_after_the_patience() -> None:
    assert _first_stuck_s(Stall(), end=10, position=4) == PATIENCE_S + LOOK_S


def test_a_partition_read_to_its_end_is_never_stuck() -> None:
    assert _first_stuck_s(Stall(), end=4, position=4) is None


def test_a_partition_whose_end_is_not_known_is_never_stuck() -> None:
    stall = Stall()

    assert not any(stall.stuck({}, {A: 4}, look * LOOK_S) for look in range(40))


def test_a_partition_that_moves_is_not_stuck_however_far_behind_it_is() -> None:
    stall = Stall()

    assert not any(stall.stuck({A: 10_000}, {A: look // 8}, look * LOOK_S) for look in range(80))


def test_only_the_partition_that_stands_still_is_told() -> None:
    stall = Stall()

    found = [stall.stuck({A: 10_000, B: 10_000}, {A: look, B: 7}, look * LOOK_S) for look in range(40)]

    assert [places for places in found if places] == [[B]]


def test_a_loop_that_stood_still_itself_blames_nobody() -> None:
    stall = Stall()

    assert not any(stall.stuck({A: 10}, {A: 4}, look * (LONGEST_BLINK_S + 1)) for look in range(40))


def test_the_same_position_is_told_once_and_the_next_one_anew() -> None:
    stall = Stall()
    assert _first_stuck_s(stall, end=10, position=4) is not None

    assert _first_stuck_s(stall, end=10, position=4, start_s=300) is None
    assert _first_stuck_s(stall, end=10, position=5, start_s=600) is not None


def test_a_reader_that_its_group_never_answers_has_joined_in_vain() -> None:
    joining = Joining(now_s=0.0)

    assert not joining.in_vain(JOINS_WITHIN_S, kafka_away=False)
    assert joining.in_vain(JOINS_WITHIN_S + 1, kafka_away=False)


def test_a_reader_that_was_answered_once_is_never_outside() -> None:
    joining = Joining(now_s=0.0)
    joining.joined = True

    assert not joining.in_vain(10 * JOINS_WITHIN_S, kafka_away=False)


def test_while_kafka_is_away_nobody_joins_in_vain() -> None:
    joining = Joining(now_s=0.0)

    assert not joining.in_vain(JOINS_WITHIN_S + 1, kafka_away=True)
    assert not joining.in_vain(2 * JOINS_WITHIN_S, kafka_away=False)
    assert joining.in_vain(2 * JOINS_WITHIN_S + 2, kafka_away=False)
