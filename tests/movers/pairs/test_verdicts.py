from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from kernel.errors import UserError
from movers.cli import app
from movers.pairs.verdicts import Said, read


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
