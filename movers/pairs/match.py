"""Which markets of two venues may speak of the same event: candidates, each with a confidence. Pure.

A candidate is for people to confirm: two titles that read alike may settle by different rules. The rule in words:
numbers must be the same on both sides (years may be left out, but not differ), months must not differ, and neither may
say above where the other says below, or deny what the other affirms. What remains is compared as words, in any order,
by rapidfuzz; closing far apart lowers the confidence. A market is in one candidate at most: with the best partner that
has no better one itself.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

from rapidfuzz import fuzz

from schemas.units import US_PER_S

LEAST_CONFIDENCE = 0.75

_RARE_WORDS = 4
_COMMON = 400
"""A word in more titles than this finds nobody."""

_DAY_US = 86_400 * US_PER_S
_CLOSE_TOGETHER = ((1, 1.0), (7, 0.97), (45, 0.9))
"""Days between the closes, and what the confidence is multiplied by."""
_FAR_APART, _UNKNOWN_CLOSE = 0.7, 0.95

_NUMBER = re.compile(r"(?<![a-z])\d[\d,]*(?:\.\d+)?(?:k|m|b)?(?![a-z\d])")
_SCALE = {"k": 1e3, "m": 1e6, "b": 1e9}
_WORD = re.compile(r"[a-z]+|\d+(?:\.\d+)?")
_UNITS = re.compile(r"(?<=\d)(?:bps?|%|°f?|pp|st|nd|rd|th)(?![a-z])")
_IDLE = frozenset((
    "a", "an", "and", "are", "as", "at", "be", "by", "for", "from", "in", "is", "it", "its", "of", "on", "or", "that",
    "the", "this", "to", "was", "will", "with",
))  # fmt: skip
_MONTHS = {name[:3]: name for name in (
    "january", "february", "march", "april", "may", "june", "july", "august", "september", "october", "november",
    "december",
)}  # fmt: skip
_ABOVE = frozenset(("above", "over", "more", "higher", "exceed", "exceeds", "least", "greater"))
_BELOW = frozenset(("below", "under", "less", "lower", "most", "fewer"))
_NO = frozenset(("not", "no", "never", "without", "fail", "fails"))


@dataclass(frozen=True)
class Listing:
    """One market as its venue lists it. `close_us` None: it does not say when it closes."""

    market_id: str
    venue: str
    title: str
    outcome: str = ""
    close_us: int | None = None

    @cached_property
    def words(self) -> tuple[str, ...]:
        """What it says, in lower case, without idle words."""
        found = _WORD.findall(_plain(f"{self.title} {self.outcome}"))
        return tuple(dict.fromkeys(_MONTHS.get(word, word) for word in found if word not in _IDLE))

    @cached_property
    def numbers(self) -> frozenset[float]:
        """Numbers that are not years."""
        return frozenset(n for n in _numbers(self) if not _is_year(n))

    @cached_property
    def years(self) -> frozenset[float]:
        """Years that it names."""
        return frozenset(n for n in _numbers(self) if _is_year(n))

    @cached_property
    def months(self) -> frozenset[str]:
        """Months that it names."""
        return frozenset(self.words) & frozenset(_MONTHS.values())


@dataclass(frozen=True, slots=True)
class Candidate:
    """Two markets of different venues that may be the same. `confidence` 0..1."""

    a: Listing
    b: Listing
    confidence: float


def candidates(listings: Iterable[Listing], least: float = LEAST_CONFIDENCE) -> list[Candidate]:
    """Candidates of at least some confidence, the surest first; of equal ones, in order of their ids."""
    every = sorted(listings, key=lambda one: (one.venue, one.market_id))
    found = [
        Candidate(a, b, round(sure, 3))
        for a, b in _possible(every)
        if contradiction(a, b) is None and (sure := confidence(a, b)) >= least
    ]
    found.sort(key=lambda one: (-one.confidence, one.a.market_id, one.b.market_id))
    taken: set[str] = set()
    kept = []
    for one in found:
        if one.a.market_id not in taken and one.b.market_id not in taken:
            taken |= {one.a.market_id, one.b.market_id}
            kept.append(one)
    return kept


def contradiction(a: Listing, b: Listing) -> str | None:
    """Why two listings cannot be the same; None when nothing speaks against it."""
    if a.numbers != b.numbers:
        return "numbers"
    if a.years and b.years and a.years != b.years:
        return "years"
    if a.months and b.months and a.months != b.months:
        return "months"
    said_a, said_b = frozenset(a.words), frozenset(b.words)
    if (said_a & _ABOVE and said_b & _BELOW) or (said_a & _BELOW and said_b & _ABOVE):
        return "above and below"
    return "denial" if bool(said_a & _NO) != bool(said_b & _NO) else None


def confidence(a: Listing, b: Listing) -> float:
    """How alike two listings are, 0..1: words in any order, and when they close."""
    left, right = " ".join(a.words), " ".join(b.words)
    alike = (fuzz.token_set_ratio(left, right) + fuzz.token_sort_ratio(left, right)) / 200
    return float(alike * _closes(a.close_us, b.close_us))


def _closes(a_us: int | None, b_us: int | None) -> float:
    if a_us is None or b_us is None:
        return _UNKNOWN_CLOSE
    days = abs(a_us - b_us) / _DAY_US
    return next((share for limit, share in _CLOSE_TOGETHER if days <= limit), _FAR_APART)


def _possible(every: Sequence[Listing]) -> Iterator[tuple[Listing, Listing]]:
    """Pairs across venues that share one of their rarest words; anything else is not looked at."""
    counts = Counter(word for one in every for word in one.words)
    by_word: dict[str, list[Listing]] = defaultdict(list)
    for one in every:
        met: dict[str, Listing] = {}
        for word in sorted((w for w in one.words if counts[w] <= _COMMON), key=lambda w: (counts[w], w))[:_RARE_WORDS]:
            met |= {other.market_id: other for other in by_word[word] if other.venue != one.venue}
        for other in met.values():
            yield other, one
        for word in one.words:
            if counts[word] <= _COMMON:
                by_word[word].append(one)


def _numbers(one: Listing) -> Iterator[float]:
    for text in _NUMBER.findall(_plain(f"{one.title} {one.outcome}")):
        scale = _SCALE.get(text[-1], 1.0)
        yield float(text.rstrip("kmb").replace(",", "")) * scale


def _plain(text: str) -> str:
    return _UNITS.sub(" ", text.lower())


def _is_year(number: float) -> bool:
    return 2000 <= number <= 2100 and number == int(number)
