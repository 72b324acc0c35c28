"""A word of a closed list that is written wrongly fails mypy, wherever a mapper, a rule or a page decides by it.

mypy looks at copies of those files in which a letter of each such word is wrong: one copy for the words that are given,
and as many as it takes for those that are compared, so that one mistake does not hide the next.
"""

from __future__ import annotations

import ast
import os
import re
import typing
from collections.abc import Iterator
from pathlib import Path

import pytest
from mypy import api

from schemas import words

WORDS = {
    word
    for listed in vars(words).values()
    if typing.get_origin(listed) is typing.Literal
    for word in typing.get_args(listed)
    if word
}
FILES = (
    "producers/kalshi/mapper.py",
    "producers/polymarket/mapper.py",
    "producers/quotes.py",
    "producers/ticks.py",
    "producers/tracked.py",
    "processors/analytics/alerts.py",
    "processors/analytics/episodes.py",
    "processors/analytics/grades.py",
    "processors/analytics/moves.py",
    "processors/analytics/reasons.py",
    "processors/analytics/windows.py",
    "dashboard/formats.py",
)
NOT_OURS = {
    # Names of fields and events that happen to be spelt like a word; the venues' own words.
    "processors/analytics/moves.py": {'event_id=event_id("move", tick.market_id, ts_us),'},
    "processors/analytics/windows.py": {'"basis",', '"trades",'},
    "producers/polymarket/mapper.py": {
        'if flag(row, "closed"):',
        'resolved = winner is not None or row.get("umaResolutionStatus") in ("resolved", "settled")',
    },
}
COPIES = 4


def spots(text: str) -> Iterator[tuple[int, ast.Constant]]:
    """Words of the lists in a source, with the copy in which each is to be wrong; not those inside a formatted text.

    0 where a word is given; where one is compared, its place among the comparisons of its function, from 1: after a
    comparison that cannot be true, mypy does not look at what follows.
    """
    tree = ast.parse(text)
    formatted = {id(part) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for part in ast.walk(node)}
    compared: dict[int, int] = {}
    for function in ast.walk(tree):
        if isinstance(function, ast.FunctionDef):
            words_in = (c for n in ast.walk(function) if isinstance(n, ast.Compare) for c in ast.walk(n) if _is_word(c))
            ordered = sorted(words_in, key=lambda node: (node.lineno, node.col_offset))
            compared |= {id(node): place for place, node in enumerate(ordered, start=1)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and _is_word(node) and id(node) not in formatted:
            yield compared.get(id(node), 0), node


def _is_word(node: ast.AST) -> typing.TypeGuard[ast.Constant]:
    return isinstance(node, ast.Constant) and node.value in WORDS


def misspelt(text: str, wrong: list[ast.Constant]) -> str:
    """The source with the last letter of these words wrong."""
    lines = text.splitlines(keepends=True)
    for node in sorted(wrong, key=lambda node: (node.lineno, node.col_offset), reverse=True):
        assert isinstance(node.value, str)
        at = node.col_offset + len(node.value)  # the opening quote stands before the word
        line = lines[node.lineno - 1]
        lines[node.lineno - 1] = line[:at] + ("z" if line[at] != "z" else "y") + line[at + 1 :]
    return "".join(lines)


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What mypy keeps from one look to the next."""
    return tmp_path_factory.mktemp("mypy")


@pytest.mark.parametrize("copy", range(COPIES))
def test_a_wrong_letter_in_a_mapper_a_rule_or_a_page_is_an_error(
    copy: int, repo_dir: Path, tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(repo_dir)
    arguments = ["--config-file", "pyproject.toml", "--cache-dir", str(cache), "--follow-imports", "silent"]
    expected: set[tuple[str, int]] = set()
    for name in FILES:
        text = (repo_dir / name).read_text("utf-8")
        lines = [line.strip() for line in text.splitlines()]
        ours = [spot for spot in spots(text) if lines[spot[1].lineno - 1] not in NOT_OURS.get(name, ())]
        assert max((place for place, _ in ours), default=0) < COPIES
        wrong = [node for place, node in ours if place == copy]
        expected |= {(name, node.lineno) for node in wrong}
        shadow = tmp_path / name.replace("/", "-")
        shadow.write_text(misspelt(text, wrong), "utf-8")
        # mypy takes a file of the same size and second for the one it knows; every copy has the same size.
        os.utime(shadow, (1_000 * (copy + 1), 1_000 * (copy + 1)))
        arguments += ["--shadow-file", name, str(shadow)]

    told, trouble, _ = api.run([*arguments, *FILES])

    errors = {(m[1], int(m[2])) for m in re.finditer(r"^([^:\n]+):(\d+): error", told, re.MULTILINE)}
    assert expected, trouble
    assert sorted(expected - errors) == []
