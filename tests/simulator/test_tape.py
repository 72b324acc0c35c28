"""Tape files: what is written is read back, and a bad line is named."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kernel.errors import UserError
from simulator.tape import (
    VENUES,
    Close,
    Market,
    Quote,
    RecordedTape,
    Settle,
    Trade,
    format_line,
    parse_line,
    read_tape,
    write_tape,
)
from tests.simulator.conftest import START_US, small_tape

HEADER = '{"format": "movers-tape/1"}\n'
CLOSES = '{"kind":"close","ts_us":5,"market":"M"}\n{"kind":"close","ts_us":4,"market":"M"}\n'
MARKET = '{"kind":"market","venue":"kalshi","market":"M","title":"t"}\n'

prices = st.none() | st.integers(0, 1_000_000)
sizes = st.none() | st.integers(0, 10**9)
trades = st.builds(Trade, st.integers(0, 1_000_000), st.integers(0, 10**9), st.sampled_from(["buy", "sell"]))


@given(st.builds(Quote, st.integers(0, 2**52), st.just("M"), prices, prices, prices, sizes, sizes, trade=trades))
def test_a_quote_line_reads_back_as_written(quote: Quote) -> None:
    assert parse_line(format_line(quote)) == quote


@pytest.mark.parametrize("name", ["a.tape", "a.tape.gz"])
def test_a_tape_file_reads_back_as_written(tmp_path: Path, name: str) -> None:
    lines = small_tape()

    count = write_tape(tmp_path / name, lines)

    tape = read_tape(tmp_path / name)
    assert count == len(lines)
    for venue in VENUES:
        assert list(tape.lines(venue)) == list(RecordedTape(lines).lines(venue))
    assert (tape.start_us, tape.end_us) == (START_US, START_US + 30_000_000)


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ("", "line 1"),
        ("no json\n", "line 1"),
        ('{"format": "other/1"}\n', "line 1"),
        (HEADER + "{\n", "line 2"),
        (HEADER + "[1]\n", "line 2"),
        (HEADER + '{"kind":"market","venue":"nowhere","market":"M","title":"t"}\n', "unknown venue"),
        (HEADER + '{"kind":"market","venue":"kalshi","market":"M"}\n', "line 2"),
        (HEADER + '{"kind":"market","venue":"kalshi","market":"M","title":"t","colour":1}\n', "'colour'"),
        (HEADER + '{"kind":"quote","ts_us":1,"market":"M"}\n', "not introduced"),
        (HEADER + MARKET + '{"kind":"quote","ts_us":1.5,"market":"M"}\n', "line 3"),
        (HEADER + MARKET + '{"kind":"quote","market":"M"}\n', "missing 'ts_us'"),
        (HEADER + MARKET + '{"kind":"quote","ts_us":1,"market":"M","bid":"0.4"}\n', "line 3"),
        (HEADER + MARKET + '{"kind":"quote","ts_us":1,"market":"M","bid":1.4}\n', "outside 0..1"),
        (HEADER + MARKET + '{"kind":"settle","ts_us":1,"market":"M","winner":2}\n', "winner"),
        (HEADER + MARKET + '{"kind":"dance","ts_us":1,"market":"M"}\n', "unknown kind"),
        (HEADER + MARKET + CLOSES, "line 4"),
    ],
)  # fmt: skip
def test_a_garbled_tape_is_one_line_that_names_file_and_place(tmp_path: Path, text: str, where: str) -> None:
    path = tmp_path / "bad.tape"
    path.write_text(text)

    with pytest.raises(UserError) as caught:
        read_tape(path)

    message = str(caught.value)
    assert str(path) in message
    assert where in message
    assert "\n" not in message


def test_a_missing_and_a_cut_gzip_tape_are_user_errors(tmp_path: Path) -> None:
    cut = tmp_path / "cut.tape.gz"
    cut.write_bytes(gzip.compress(HEADER.encode() * 500)[:-20])

    for path in (tmp_path / "none.tape", cut):
        with pytest.raises(UserError, match=path.name):
            read_tape(path)


def test_a_shifted_tape_keeps_its_distances() -> None:
    tape = RecordedTape([*small_tape()])

    moved = tape.shifted(1_000)

    assert moved.start_us == tape.start_us + 1_000
    before = [line.ts_us for line in tape.lines("kalshi") if isinstance(line, Quote | Close | Settle)]
    after = [line.ts_us for line in moved.lines("kalshi") if isinstance(line, Quote | Close | Settle)]
    assert after == [ts_us + 1_000 for ts_us in before]
    assert [line for line in moved.lines("polymarket") if isinstance(line, Market) and line.ts_us is None]
