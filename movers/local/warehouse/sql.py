"""Just enough reading of SQL for ClickHouse's HTTP dialect: where a statement ends and inline data begins.

The engine's own parser does the rest; this module never changes the meaning of a statement.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import NamedTuple

# Comments, strings and quoted names are stepped over whole, so that a word inside them is never taken for SQL.
_TOKEN = re.compile(
    rb"""(?P<skip>\s+|--[^\n]*|\#[ !][^\n]*|/\*.*?\*/)
       |(?P<quoted>'(?:\\.|''|[^'\\])*'|"(?:\\.|""|[^"\\])*"|`(?:\\.|``|[^`\\])*`)
       |(?P<word>[A-Za-z_][A-Za-z0-9_]*)
       |(?P<mark>.)""",
    re.VERBOSE | re.DOTALL,
)
_OPEN, _CLOSE = b"([{", b")]}"
_DATA_GAP = re.compile(rb"[ \t\f]*(?:\r?\n)?")


@dataclass(frozen=True, slots=True)
class Statement:
    """One statement, split.

    sql: the statement without inline data. first_word: its first keyword, upper case ("" when there is none).
    insert_format and data: set when data follows `INSERT … FORMAT X`; settings_at: where the SETTINGS of such an insert
    begin. output_format: the trailing `FORMAT X` of a query. touches_files: it names a file of this machine (INTO
    OUTFILE, FROM INFILE).
    """

    sql: bytes
    first_word: str
    insert_format: str | None = None
    data: bytes = b""
    settings_at: int | None = None
    output_format: str | None = None
    touches_files: bool = False

    def insert_from_file(self, path: str) -> bytes:
        """The insert with its data in a file. Only where `insert_format` is set; the path holds no quote."""
        at = len(self.sql) if self.settings_at is None else self.settings_at
        infile = f" FROM INFILE '{path}' COMPRESSION 'none' "
        return b"%s%s%s FORMAT %s" % (
            self.sql[:at],
            infile.encode(),
            self.sql[at:],
            (self.insert_format or "").encode(),
        )


class _Word(NamedTuple):
    text: str
    start: int
    end: int


def split(url_query: bytes, body: bytes) -> Statement:
    """Reads the statement of a request whose SQL may stand in the URL, in the body, or run from one into the other."""
    if url_query and body:
        statement = _split_one(url_query)
        if statement.insert_format:
            # The data of a URL statement begins where the body does: not a byte of it may be skipped.
            return replace(statement, data=statement.data + body)
        return _split_one(url_query + b"\n" + body)
    return _split_one(url_query or body)


def _split_one(text: bytes) -> Statement:
    words = _top_level_words(text)
    first = next(words, None)
    if first is None:
        return Statement(text, "")
    if first.text == "INSERT":
        return _split_insert(text, words)
    return _read_query(text, first, words)


def _split_insert(text: bytes, words: Iterator[_Word]) -> Statement:
    previous, settings_at = "INSERT", None
    for word in words:
        if word.text in ("SELECT", "WITH", "VALUES"):
            return Statement(text, "INSERT", touches_files=_names_files(text, words))
        if previous == "FROM" and word.text == "INFILE":
            return Statement(text, "INSERT", touches_files=True)
        if word.text == "SETTINGS" and previous not in ("INTO", "TABLE", "."):
            settings_at = word.start
        if word.text == "FORMAT" and previous not in ("INTO", "TABLE", "."):
            name = next(words, None)
            if name is None:
                break
            gap = _DATA_GAP.match(text, name.end)
            data_start = gap.end() if gap else name.end
            format_name = text[name.start : name.end].decode()
            return Statement(text[: word.start], "INSERT", format_name, text[data_start:], settings_at)
        previous = word.text
    return Statement(text, "INSERT")


def _read_query(text: bytes, first: _Word, rest: Iterator[_Word]) -> Statement:
    words = [first, *rest]
    names = [word.text for word in words]
    touches_files = any(pair == ("INTO", "OUTFILE") for pair in itertools.pairwise(names))
    for at in range(len(words) - 2, 0, -1):
        # The clause ends the statement, which tells it from a column or an alias called `format`.
        if (
            names[at] == "FORMAT"
            and names[at + 1].isidentifier()
            and (names[at + 2 :] or [";"])[0] in (";", "SETTINGS")
        ):
            output_format = text[words[at + 1].start : words[at + 1].end].decode()
            return Statement(text, first.text, output_format=output_format, touches_files=touches_files)
    return Statement(text, first.text, touches_files=touches_files)


def _names_files(text: bytes, words: Iterator[_Word]) -> bool:
    previous = ""
    for word in words:
        if previous == "INTO" and word.text == "OUTFILE":
            return True
        previous = word.text
    return False


def _top_level_words(text: bytes) -> Iterator[_Word]:
    """Words outside brackets, upper case. Dots and commas are words too, to tell `a.format` from FORMAT."""
    depth = 0
    position = 0
    while position < len(text):
        match = _TOKEN.match(text, position)
        if match is None:
            return
        position = match.end()
        if match.lastgroup == "word" and depth == 0:
            yield _Word(match[0].decode().upper(), match.start(), match.end())
        elif match.lastgroup == "quoted" and depth == 0:
            yield _Word("", match.start(), match.end())
        elif match.lastgroup == "mark":
            mark = match[0]
            if mark in _OPEN:
                depth = depth + 1
            elif mark in _CLOSE:
                depth = max(0, depth - 1)
            elif depth == 0 and mark in b".,;=*":
                yield _Word(mark.decode(), match.start(), match.end())
