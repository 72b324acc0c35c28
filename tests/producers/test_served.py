"""How many tokens a venue serves on a connection, and which it does not serve at all."""

from __future__ import annotations

from producers.served import HOLDS_AT_MOST_S, HOLDS_S, SAID_EVERY_S, Capacity, Unserved


def test_a_limit_that_was_learnt_is_put_to_the_test_ever_more_seldom_as_long_as_it_holds() -> None:
    capacity, tests = Capacity(400), list[float]()
    capacity.learnt(300, 0.0)
    for now_s in range(0, 20_000, 10):
        if capacity.test(now_s):
            assert (capacity.tokens, capacity.is_limited) == (400, False)
            tests.append(now_s)
            capacity.learnt(300, now_s)

    apart = [later - earlier for earlier, later in zip([0.0, *tests], tests, strict=False)]
    assert apart[:4] == [HOLDS_S, 2 * HOLDS_S, 4 * HOLDS_S, 8 * HOLDS_S]
    assert max(apart) == HOLDS_AT_MOST_S


def test_a_limit_that_was_lifted_and_comes_back_is_put_to_the_test_as_soon_as_at_first() -> None:
    capacity = Capacity(400)
    capacity.learnt(300, 0.0)
    assert capacity.test(HOLDS_S)
    capacity.stood()
    capacity.learnt(300, 1_000.0)

    assert not capacity.test(1_000.0 + HOLDS_S - 1)
    assert capacity.test(1_000.0 + HOLDS_S)


def test_the_lowest_limit_that_was_met_counts() -> None:
    capacity = Capacity(400)
    capacity.learnt(300, 0.0)
    capacity.learnt(350, 1.0)

    assert capacity.tokens == 300


def test_what_is_lacking_is_told_at_once_its_changes_now_and_then_and_its_end_at_once() -> None:
    unserved = Unserved()

    assert not unserved.account([], 1, 0.0)
    assert unserved.account(["a", "b"], 2, 1.0)
    assert not unserved.account(["b", "a"], 3, 2.0), "the same"
    assert not unserved.account(["b"], 3, 3.0), "too soon"
    assert unserved.account(["b"], 3, 1.0 + SAID_EVERY_S)
    assert (unserved.tokens, unserved.since_us) == ({"b": None}, 2), "the same gap, with fewer in it"
    assert unserved.account([], 4, 1.5 + SAID_EVERY_S)
    assert unserved.since_us == 2, "its end names the same begin"
    assert unserved.account(["c"], 5, 2.0 + SAID_EVERY_S)
    assert unserved.since_us == 5
