"""Batches of frames: whatever bytes they are, they come out as they went in."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from producers.batch import MOST_BYTES, MOST_FRAMES, Batch, Frame, frames


@given(st.lists(st.builds(Frame, st.integers(0, 2**53), st.binary(max_size=60), st.integers(0, 2**53))))
def test_frames_come_out_as_they_went_in(given_frames: list[Frame]) -> None:
    batch = Batch()
    for frame in given_frames:
        batch.add(frame.received_us, frame.body, frame.step or 0)

    assert len(batch) == len(given_frames)
    assert list(frames(batch.take())) == given_frames
    assert len(batch) == 0


def test_it_is_full_by_number_or_by_bytes() -> None:
    by_number, by_bytes = Batch(), Batch()
    for _ in range(MOST_FRAMES):
        assert not by_number.full
        by_number.add(1, b"{}", 0)
    by_bytes.add(1, b"x" * MOST_BYTES, 0)

    assert (by_number.full, by_bytes.full) == (True, True)


def test_batches_of_before_there_were_steps_are_read_too() -> None:
    assert list(frames(b"7 3\nabc\n")) == [Frame(7, b"abc", None)]


@pytest.mark.parametrize("body", [b"1 5\nabc\n", b"1 3\nabcd\n", b"no\nabc\n", b"1 3"])
def test_what_is_cut_is_refused(body: bytes) -> None:
    with pytest.raises(ValueError, match=r".+"):
        list(frames(body))
