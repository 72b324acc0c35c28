"""When a silent token is quiet, when it is frozen, and what is done about it."""

from __future__ import annotations

from producers.continuity import CURED_S, FIRST_BOOK_S, GRACE_S, Continuity


def opened(*names: str, line: int = 1) -> Continuity:
    continuity = Continuity()
    continuity.subscribed(line, names, 0.0)
    for name in names:
        continuity.heard(name, 0.5, opening=True)
    return continuity


def remedies(continuity: Continuity, now_s: float) -> list[tuple[int, str, tuple[str, ...]]]:
    return [(found.line, found.remedy, found.tokens) for found in continuity.due(now_s)]


def test_a_quiet_token_that_the_witness_confirms_is_left_alone() -> None:
    continuity = opened("a")
    continuity.witnessed("a", 100.0, agrees=True)

    assert remedies(continuity, 200.0) == []
    assert (continuity.agreed, continuity.contradicted) == (1, 0)


def test_a_contradicted_token_has_the_time_a_frame_may_take_and_is_then_subscribed_anew() -> None:
    continuity = opened("a", "b")
    continuity.witnessed("a", 10.0, agrees=False)

    assert remedies(continuity, 10.0 + GRACE_S / 2) == []
    assert remedies(continuity, 10.0 + GRACE_S) == [(1, "subscribe", ("a",))]
    assert remedies(continuity, 20.0) == []
    assert continuity.frozen == 1


def test_a_frame_that_comes_within_the_grace_clears_the_suspicion() -> None:
    continuity = opened("a")
    continuity.witnessed("a", 10.0, agrees=False)
    continuity.heard("a", 10.9)

    assert remedies(continuity, 20.0) == []


def test_several_frozen_tokens_mean_a_frozen_connection() -> None:
    continuity = opened("a", "b", "c", "d")
    for name in "abc":
        continuity.witnessed(name, 10.0, agrees=False)

    assert remedies(continuity, 12.0) == [(1, "reconnect", ("a", "b", "c"))]


def test_a_token_that_subscribing_did_not_cure_gets_a_new_connection() -> None:
    continuity = opened("a")
    continuity.witnessed("a", 10.0, agrees=False)
    assert remedies(continuity, 12.0) == [(1, "subscribe", ("a",))]
    continuity.subscribed(1, ["a"], 12.0, redriven=True)

    assert remedies(continuity, 12.0 + CURED_S) == [(1, "reconnect", ("a",))]
    continuity.subscribed(1, ["a"], 17.0)
    assert remedies(continuity, 17.0 + CURED_S) == []  # once: it may simply have ended


def test_a_token_that_freezes_again_soon_after_its_cure_gets_a_new_connection() -> None:
    continuity = opened("a")
    continuity.subscribed(1, ["a"], 12.0, redriven=True)
    continuity.heard("a", 12.5, opening=True)
    continuity.witnessed("a", 20.0, agrees=False)

    assert remedies(continuity, 22.0) == [(1, "reconnect", ("a",))]


def test_an_opening_book_that_is_late_is_asked_for_once_more_and_then_given_up() -> None:
    continuity = Continuity()
    continuity.subscribed(1, ["a", "b"], 0.0)
    continuity.heard("a", 1.0, opening=True)

    assert continuity.waits(["b"])
    assert remedies(continuity, FIRST_BOOK_S) == [(1, "subscribe", ("b",))]
    assert not continuity.waits(["b"])
    assert continuity.unserved(1, FIRST_BOOK_S + 1) == []
    assert continuity.unserved(1, 2 * FIRST_BOOK_S) == ["b"]


def test_while_their_connection_is_gone_no_opening_book_is_late() -> None:
    continuity = opened("a", "b")
    continuity.lost(["a", "b"])

    assert remedies(continuity, 100.0) == []
    assert continuity.unserved(1, 100.0) == []
    continuity.subscribed(1, ["a", "b"], 100.0)
    assert continuity.waits(["a"])
    assert remedies(continuity, 100.0 + FIRST_BOOK_S) == [(1, "subscribe", ("a", "b"))]


def test_a_doubt_subscribes_anew_but_not_again_and_again() -> None:
    continuity = opened("a")
    continuity.doubted("a", 1.0)
    assert remedies(continuity, 1.0) == [(1, "subscribe", ("a",))]
    continuity.subscribed(1, ["a"], 1.0, redriven=True)
    continuity.heard("a", 1.2, opening=True)
    continuity.doubted("a", 2.0)

    assert remedies(continuity, 3.0) == []


def test_a_token_that_is_doubted_after_every_cure_is_left_alone_for_longer_and_longer() -> None:
    continuity, now_s, cures = opened("a"), 1.0, 0
    for _ in range(3_600):  # an hour in which each frame contradicts the book
        now_s += 1.0
        continuity.doubted("a", now_s)
        for redrive in continuity.due(now_s):
            cures += 1
            continuity.subscribed(redrive.line, redrive.tokens, now_s, redriven=True)
            continuity.heard("a", now_s, opening=True)

    assert 4 <= cures <= 12


def test_what_is_not_followed_is_not_judged() -> None:
    continuity = opened("a")
    continuity.unsubscribed(["a"])
    continuity.witnessed("a", 10.0, agrees=False)
    continuity.doubted("a", 10.0)
    continuity.heard("a", 10.0)

    assert remedies(continuity, 100.0) == []


def test_a_witness_that_was_wrong_is_not_believed_again_for_a_while() -> None:
    continuity = opened("a")
    continuity.witnessed("a", 10.0, agrees=False)
    assert remedies(continuity, 12.0) == [(1, "subscribe", ("a",))]
    continuity.subscribed(1, ["a"], 12.0, redriven=True)
    continuity.heard("a", 12.2, opening=True)
    continuity.reopened("a", 12.2, changed=False)  # the new book says what the stream had said before

    continuity.witnessed("a", 30.0, agrees=False)
    assert remedies(continuity, 40.0) == []
    continuity.witnessed("a", 700.0, agrees=False)
    assert remedies(continuity, 702.0) == [(1, "subscribe", ("a",))]
