"""Which part of a venue one collector has, and that no other on this machine has it too."""

from __future__ import annotations

import fcntl
import re
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from kernel.errors import UserError
from schemas.words import CATEGORIES, Category

_OF = re.compile(r"([1-9]\d{0,2})/([1-9]\d{0,2})")


@dataclass(frozen=True, slots=True)
class Shard:
    """A part of a venue: all of it, some categories, or a numbered part of either.

    A market belongs to the part that its id hashes to, so parts stay the same over restarts, machines and time, and
    parts 1/n to n/n hold every market once.

    Args:
        venue: the venue.
        category: one of our categories, or several joined by a plus sign; empty for all.
        number: which part, from 1.
        of: how many parts.
    """

    venue: str
    category: str = ""
    number: int = 1
    of: int = 1

    @classmethod
    def parse(cls, venue: str, category: str = "", part: str = "") -> Shard:
        """From what a user says: `--category sports --shard 2/4`, `--category politics,world`.

        Raises:
            UserError: no such category, or no such part.
        """
        named = {word.strip() for word in category.split(",")} if category else set()
        for word in sorted(named):
            known_category(word)
        category = "+".join(word for word in CATEGORIES if word in named)
        if not part:
            return cls(venue, category)
        found = _OF.fullmatch(part)
        if found is None or int(found[1]) > int(found[2]):
            raise UserError(f"no such shard: {part}; written as 2/4, the second of four")
        return cls(venue, category, int(found[1]), int(found[2]))

    @property
    def label(self) -> str:
        """Its name within the venue, as in `feed.status`: all, sports, politics+world, 2of4, sports-2of4."""
        part = f"{self.number}of{self.of}" if self.of > 1 else ""
        return "-".join(filter(None, (self.category, part))) or "all"

    @property
    def name(self) -> str:
        """Its name among all collectors; the venue's own when it has all of it."""
        return self.venue if self.label == "all" else f"{self.venue}-{self.label}"

    def owns(self, market_id: str, category: str) -> bool:
        """Whether a market is in it. `category` is empty while not known: then it is in no category's part."""
        if self.category and category not in self.category.split("+"):
            return False
        return self.of == 1 or zlib.crc32(market_id.encode()) % self.of == self.number - 1


def uncovered(labels: Sequence[str]) -> list[str]:
    """What is wrong with the parts of one venue that run: each line names parts that overlap or are missing.

    `labels` as in `feed.status`. Categories beside `all`, and two divisions into different numbers, overlap.
    """
    problems: list[str] = []
    doubled = sorted({label for label in labels if labels.count(label) > 1})
    problems += [f"{label} runs twice" for label in doubled]
    groups: dict[str, set[tuple[int, int]]] = {}
    for label in dict.fromkeys(labels):
        category, _, part = label.rpartition("-") if re.search(r"\d+of\d+$", label) else (label, "", "")
        number, _, of = part.partition("of")
        place = (int(number or 1), int(of or 1))
        for word in [""] if category in ("", "all") else category.split("+"):
            parts = groups.setdefault(word, set())
            problems += [f"{word} is in two parts"] if place in parts else []
            parts.add(place)
    if "" in groups and len(groups) > 1:
        problems.append(f"{', '.join(sorted(filter(None, groups)))} overlap with the whole")
    elif "" not in groups and groups:
        missing = [category for category in CATEGORIES if category not in groups]
        problems += [f"no part has the category {category}" for category in missing]
    for category, parts in groups.items():
        divisions = sorted({of for _, of in parts})
        if len(divisions) > 1:
            problems.append(f"{category or 'all'}: divided into {' and '.join(map(str, divisions))} at once")
            continue
        absent = sorted(set(range(1, divisions[0] + 1)) - {number for number, _ in parts})
        problems += [f"{category or 'all'}: no part {number}/{divisions[0]}" for number in absent]
    return problems


def lock(folder: Path, shard: Shard) -> IO[bytes]:
    """Holds a part for this process until the file is closed or the process ends.

    Raises:
        UserError: another process of this machine has it, or the folder cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        file = (folder / "lock").open("ab")
    except OSError as error:
        raise UserError(f"SPILL_DIR {folder}: {error.strerror}") from error
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        file.close()
        raise UserError(f"{shard.name} is collected by another process already ({folder / 'lock'})") from error
    return file


def known_category(word: str) -> Category:
    """One of our categories, as it was named.

    Raises:
        UserError: no such category.
    """
    known = next((category for category in CATEGORIES if category == word), None)
    if known is None:
        raise UserError(f"unknown category {word}; known: {', '.join(CATEGORIES)}")
    return known
