"""Letters have one form and a stable id; too much bad input is judged by one rule."""

from __future__ import annotations

import pytest

from kernel.dead_letters import MAX_BODY_BYTES, MAX_DETAIL, BadInputLimit, Refused, letter_for, letter_for_answer
from kernel.errors import BadMessageError, TooMuchBadInputError


def test_a_few_bad_messages_at_the_start_are_tolerated() -> None:
    limit = BadInputLimit(0.5, window=1000, at_least=100)

    for _ in range(99):
        limit.saw(1, bad=1)

    with pytest.raises(TooMuchBadInputError, match="100 of the last 100"):
        limit.saw(1, bad=1)


def test_half_is_tolerated_and_more_is_not() -> None:
    limit = BadInputLimit(0.5, window=10, at_least=10)

    for _ in range(50):
        limit.saw(1, bad=0)
        limit.saw(1, bad=1)

    with pytest.raises(TooMuchBadInputError, match="6 of the last 10"):
        limit.saw(1, bad=1)


def test_old_messages_are_forgotten() -> None:
    limit = BadInputLimit(0.5, window=10, at_least=10)
    for _ in range(1000):
        limit.saw(1, bad=0)

    for _ in range(5):
        limit.saw(1, bad=1)

    with pytest.raises(TooMuchBadInputError):
        limit.saw(1, bad=1)


def test_what_came_together_is_judged_together() -> None:
    limit = BadInputLimit(0.5, window=10, at_least=10)
    limit.saw(10_000, bad=5_000)

    with pytest.raises(TooMuchBadInputError, match="21 of the last 41"):
        limit.saw(41, bad=21)


def test_good_input_after_bad_is_no_reason_to_stop() -> None:
    limit = BadInputLimit(0.5, window=1000, at_least=100)
    limit.saw(90, bad=90)

    limit.saw(20, bad=0)

    with pytest.raises(TooMuchBadInputError, match="91 of the last 111"):
        limit.saw(1, bad=1)


def test_a_message_met_again_gives_the_same_letter() -> None:
    refused = Refused("ticks", 3, 77, "kalshi", BadMessageError("undecodable", "no magic byte", b"abc"))

    first, again = letter_for("store", refused, 1), letter_for("store", refused, 2)

    assert first.event_id == again.event_id
    assert (first.channel, first.partition, first.offset, refused.place) == ("ticks", 3, 77, "ticks/3/77")
    assert first.event_id != letter_for("moves", refused, 1).event_id


def test_an_answer_met_again_gives_the_same_letter_whatever_its_query() -> None:
    error = BadMessageError("truncated_json", "cut short", b"{")

    first = letter_for_answer("producer", "kalshi", "/markets?cursor=a", error, 1)
    again = letter_for_answer("producer", "kalshi", "/markets?cursor=b", error, 2)
    other = letter_for_answer("producer", "kalshi", "/markets", BadMessageError("truncated_json", "", b"["), 2)

    assert first.event_id == again.event_id != other.event_id
    assert (first.partition, first.offset) == (None, None)


def test_a_letter_is_never_larger_than_kafka_takes() -> None:
    error = BadMessageError("undecodable", "d" * 10_000, b"x" * (16 << 20))

    letters = (
        letter_for("store", Refused("ticks", 0, 0, "", error), 0),
        letter_for_answer("producer", "kalshi", "/markets", error, 0),
    )

    assert [(len(letter.body), len(letter.detail)) for letter in letters] == [(MAX_BODY_BYTES, MAX_DETAIL)] * 2
