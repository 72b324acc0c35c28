"""The file for what Kafka will not take."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kernel.errors import UserError
from producers.spill import Spill, Spilled

FILE = "undelivered.jsonl"


def message(number: int) -> Spilled:
    return Spilled("ticks", b"k%d" % number, b"\x00\xff\n%d" % number, (("venue", b"v"), ("category", b"\x01")))


def values(spill: Spill) -> list[Spilled]:
    return [waiting for waiting, _ in spill.waiting()]


def kept(folder: Path) -> list[Spilled]:
    """What a fresh start would find."""
    with Spill(folder, 1 << 30) as spill:
        return values(spill)


def fill(folder: Path, count: int) -> None:
    with Spill(folder, 1 << 30) as spill:
        for number in range(count):
            spill.append(message(number))


def test_messages_come_back_whole_in_order_also_after_a_restart(tmp_path: Path) -> None:
    with Spill(tmp_path / "a folder", 1 << 30) as spill:
        assert not spill
    fill(tmp_path / "a folder", 3)

    with Spill(tmp_path / "a folder", 1 << 30) as again:
        assert again
        assert values(again) == [message(0), message(1), message(2)]


def test_what_was_delivered_is_not_given_out_again(tmp_path: Path) -> None:
    with Spill(tmp_path, 1 << 30) as spill:
        for number in range(3):
            spill.append(message(number))
        _, mark = list(spill.waiting())[1]
        spill.mark(mark)
        spill.append(message(3))

        assert values(spill) == kept(tmp_path) == [message(2), message(3)]


def test_a_drained_file_starts_anew(tmp_path: Path) -> None:
    with Spill(tmp_path, 1 << 30) as spill:
        spill.append(message(0))
        spill.mark(list(spill.waiting())[-1][1])
        assert not spill
        assert (tmp_path / FILE).stat().st_size == 0

        spill.append(message(1))

        assert values(spill) == kept(tmp_path) == [message(1)]


def test_a_disk_that_takes_no_mark_costs_no_message_and_stops_no_delivery(tmp_path: Path) -> None:
    with Spill(tmp_path, 1 << 30) as spill:
        for number in range(3):
            spill.append(message(number))
        first, second, third = (mark for _, mark in spill.waiting())
        spill.mark(first)
        (tmp_path / "delivered_to.new").mkdir()

        spill.mark(second)

        assert values(spill) == [message(2)]
        assert kept(tmp_path) == [message(1), message(2)]
        spill.mark(third)
        spill.append(message(3))
        assert values(spill) == kept(tmp_path) == [message(3)]


@given(cut=st.integers(1, 200))
def test_a_crash_in_the_middle_of_a_record_costs_that_record_only(
    tmp_path_factory: pytest.TempPathFactory, cut: int
) -> None:
    folder = tmp_path_factory.mktemp("spill")
    fill(folder, 3)
    size = (folder / FILE).stat().st_size
    os.truncate(folder / FILE, size - cut)
    whole = (size - cut + 1) * 3 // size  # a record that lacks only its line end is whole

    with Spill(folder, 1 << 30) as again:
        again.append(message(9))

        assert values(again) == [message(number) for number in range(whole)] + [message(9)]
        again.finish()
    assert kept(folder) == []


def test_a_mark_beyond_the_file_gives_everything_out_again(tmp_path: Path) -> None:
    fill(tmp_path, 1)
    (tmp_path / "delivered_to").write_text("99999")

    assert kept(tmp_path) == [message(0)]


def test_a_folder_that_cannot_be_written_is_one_clear_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")

    with pytest.raises(UserError, match=r"^SPILL_DIR .*file/a venue: "):
        Spill(tmp_path / "file" / "a venue", 1 << 30)


def test_a_full_spill_takes_no_more_and_answers_as_received_may_fill_half_of_it(tmp_path: Path) -> None:
    with Spill(tmp_path, max_bytes=2_000) as spill:
        raw = Spilled("raw.kalshi", b"k", b"x" * 300, ())
        taken = [spill.append(raw) for _ in range(6)]
        others = [spill.append(message(number)) for number in range(20)]

        assert taken == [True, True, True, False, False, False]
        assert others[:3] == [True] * 3
        assert not others[-1]
        assert (tmp_path / FILE).stat().st_size < 2_300


def test_a_key_to_be_forgotten_comes_back_as_one(tmp_path: Path) -> None:
    forgotten = Spilled("markets", b"k", None, (("venue", b"v"),))
    with Spill(tmp_path, 1 << 30) as spill:
        spill.append(forgotten)

    assert kept(tmp_path) == [forgotten]
