from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from kernel.errors import UserError
from movers.cli import app
from movers.pairs.stored import say
from movers.pairs.verdicts import Said, read, write


def test_a_verdict_is_noted_whatever_the_order_and_the_last_one_counts(tmp_path: Path) -> None:
    file = tmp_path / "pairs.csv"
    for command in (("confirm", "B", "A"), ("confirm", "C", "D"), ("refuse", "A", "B", "--note", "other, rules")):
        told = CliRunner().invoke(app, ["pairs", *command, "--file", str(file)])
        assert told.exit_code == 0, told.output

    assert read(file) == {("A", "B"): Said("refused", "other, rules"), ("C", "D"): Said("confirmed", "")}


def test_a_file_that_is_not_there_holds_nothing(tmp_path: Path) -> None:
    assert read(tmp_path / "pairs.csv") == {}


@pytest.mark.parametrize("line", ["maybe,A,B,", "confirmed,A,,", "confirmed,A,A,"])
def test_a_wrong_line_is_named(tmp_path: Path, line: str) -> None:
    file = tmp_path / "pairs.csv"
    file.write_text(f"verdict,market_a,market_b,note\nconfirmed,X,Y,\n{line}\n")

    with pytest.raises(UserError, match="row 2"):
        read(file)


def test_the_row_that_is_named_is_the_one_that_is_wrong_also_after_a_pair_that_stands_twice(tmp_path: Path) -> None:
    file = tmp_path / "pairs.csv"
    file.write_text("verdict,market_a,market_b,note\nconfirmed,X,Y,\nrefused,Y,X,\nmaybe,A,B,\n")

    with pytest.raises(UserError, match="row 3"):
        read(file)


def test_a_note_of_several_lines_leaves_the_file_readable(tmp_path: Path) -> None:
    file = tmp_path / "pairs.csv"

    say(file, "confirmed", "B", "A", "read by\rhand,\r\ntwice")

    assert read(file) == {("A", "B"): Said("confirmed", "read by hand, twice")}


texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0\r"), max_size=20)
ids = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0\r"), min_size=1, max_size=12)


@given(st.dictionaries(st.tuples(ids, ids).filter(lambda pair: pair[0] < pair[1]), texts, max_size=5), st.booleans())
def test_what_is_written_is_read_back_whatever_the_notes_hold(notes: dict[tuple[str, str], str], yes: bool) -> None:
    said = {pair: Said("confirmed" if yes else "refused", note) for pair, note in notes.items()}
    with TemporaryDirectory() as folder:
        file = Path(folder) / "pairs.csv"

        write(file, said)

        assert read(file) == said
