"""Messages found in a server's bytes."""

from __future__ import annotations

import pytest

from producers.framing import is_text, payload, whole_texts

SHORT = b"\x81\x03abc"
LONG = b"\x81\x7e\x00\x82" + b"x" * 130
PING, MASKED, FIRST_OF_TWO = b"\x89\x00", b"\x81\x83\0\0\0\0abc", b"\x01\x03abc"


def test_whole_text_messages_are_found_up_to_the_first_that_is_cut() -> None:
    assert whole_texts(SHORT + LONG + SHORT[:-1], 0, 1_000) == ([b"abc", b"x" * 130], len(SHORT + LONG))
    assert whole_texts(SHORT, len(SHORT), 1_000) == ([], len(SHORT))


@pytest.mark.parametrize("other", [PING, MASKED, FIRST_OF_TWO, LONG])
def test_what_is_no_whole_text_message_or_too_large_ends_them(other: bytes) -> None:
    assert whole_texts(SHORT + other + SHORT, 0, 129) == ([b"abc"], len(SHORT))
    assert is_text(other, 0) == (other is LONG)


def test_a_length_that_is_cut_is_not_guessed() -> None:
    assert payload(LONG, 0) == (4, 134)
    assert payload(LONG[:3], 0) == (4, 4)
    assert payload(b"\x81", 0) == (2, 2)
