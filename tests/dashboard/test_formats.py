"""Numbers and times as people read them."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashboard import formats

_NOW = datetime(2026, 11, 23, 18, 42, tzinfo=UTC)


@pytest.mark.parametrize(
    ("function", "value", "expected"),
    [
        (formats.percent, 0.625, "62.5 %"),
        (formats.percent, 0.0, "0.0 %"),
        (formats.percent, 1.0, "100.0 %"),
        (formats.percent, 0.0035, "0.35 %"),
        (formats.percent, 0.9965, "99.65 %"),
        (formats.percent, None, "–"),
        (formats.percent, float("nan"), "–"),
        (formats.points, 7.3, "+7.3 pp"),
        (formats.points, -7.25, "−7.2 pp"),
        (formats.points, 0.0, "+0.0 pp"),
        (formats.points, -0.04, "+0.0 pp"),
        (formats.arrow, -0.04, "■ +0.0 pp"),
        (formats.arrow, 0.04, "■ +0.0 pp"),
        (formats.arrow, 7.3, "▲ +7.3 pp"),
        (formats.arrow, -7.3, "▼ −7.3 pp"),
        (formats.arrow, None, "–"),
        (formats.money, 950, "$950"),
        (formats.money, 56_000, "$56.0k"),
        (formats.money, 340_000, "$340k"),
        (formats.money, 1_234_567, "$1.2M"),
        (formats.money, 2.5e9, "$2.5B"),
        (formats.money, float("nan"), "–"),
        (formats.span, 12, "12 s"),
        (formats.span, 299, "4 min"),
        (formats.span, 7500, "2 h 05 m"),
        (formats.span, 7200, "2 h"),
        (formats.span, 3 * 86_400, "3 d"),
        (formats.span, 800 * 86_400, "2.2 y"),
        (formats.ends_in, 3 * 86_400 + 5, "in 3 d"),
        (formats.ends_in, 26 * 3600 + 900, "in 26 h"),
        (formats.ends_in, 7500, "in 2 h 05 m"),
        (formats.ends_in, 0, "past"),
        (formats.ends_in, None, "–"),
        (formats.category, "science_tech", "Science & tech"),
        (formats.category, "", "Not known yet"),
        (formats.venue, "polymarket", "Polymarket"),
        (formats.venue, "new_venue", "New venue"),
    ],
)
def test_format(function: Callable[[Any], str], value: object, expected: str) -> None:
    assert function(value) == expected


def test_moments() -> None:
    assert formats.ago(_NOW - timedelta(seconds=250), _NOW) == "4 min ago"
    assert formats.ago(None, _NOW) == "–"


@pytest.mark.parametrize(
    "address", ["https://evil.example/x", "HTTP://e.example", "www.evil.example", "a@evil.example"]
)
def test_an_address_in_a_title_is_no_link_and_reads_as_it_was(address: str) -> None:
    shown = re.sub(r"\\(.)", r"\1", formats.escape(f"See {address} now"))

    # As mdast-util-gfm-autolink-literal looks for them, in what is left when the backslashes are gone.
    assert not re.search(r"(https?://|www(?=\.))[-.\w]+|[-.\w+]+@[-\w]+\.", shown, re.IGNORECASE)
    assert shown.replace("\u2060", "") == f"See {address} now"


def test_a_title_is_one_line_and_its_entities_stay_letters() -> None:
    assert formats.escape(" AT&amp;T?\n\n- yes\n# no ") == r"AT\&amp;T? - yes \# no"


def test_titles_cannot_become_markup() -> None:
    assert formats.escape("$5 [a](b) *x*") == "\\$5 \\[a\\]\\(b\\) \\*x\\*"


_UNITS = {"": 1.0, "k": 1e3, "M": 1e6, "B": 1e9}


def _dollars(text: str) -> tuple[str, float]:
    """The digits of an amount as shown, and the dollars of its unit."""
    unit = text[-1] if text[-1] in _UNITS else ""
    return text[1:].removesuffix(unit), _UNITS[unit]


@given(st.floats(0, 9e11))
def test_money_has_three_digits_at_the_most_and_is_true_to_half_of_the_last(usd: float) -> None:
    number, size = _dollars(formats.money(usd))

    assert len(number.replace(".", "")) <= 3
    assert abs(float(number) * size - usd) <= (0.1 if "." in number else 1.0) * size / 2 * 1.000001


@pytest.mark.parametrize(
    ("usd", "text"),
    [(999.6, "$1.0k"), (99_960, "$100k"), (999_600, "$1.0M"), (999_999_999, "$1.0B"), (-999.6, "$-1.0k")],
)
def test_money_that_rounds_up_to_the_next_unit_is_told_in_it(usd: float, text: str) -> None:
    assert formats.money(usd) == text


@given(st.floats(0, 1e12), st.floats(0, 1e12))
def test_more_money_never_reads_as_less(first: float, second: float) -> None:
    less, more = (_dollars(formats.money(usd)) for usd in sorted((first, second)))

    assert float(less[0]) * less[1] <= float(more[0]) * more[1]


@given(st.floats(0, 1))
def test_a_price_is_true_to_half_of_the_digit_shown_and_within_0_and_100(price: float) -> None:
    number = formats.percent(price).removesuffix(" %")

    assert 0.0 <= float(number) <= 100.0
    assert abs(float(number) - price * 100) <= 0.5 / 10 ** len(number.partition(".")[2]) + 1e-9


@given(st.integers(-1_000_000, 1_000_000))
def test_the_arrow_and_the_sign_agree(move_ppm: int) -> None:
    text = formats.arrow(move_ppm / 10_000)

    assert {"▲": "+", "▼": "−", "■": "+"}[text[0]] == text[2]


@given(st.text(max_size=40))
def test_no_text_of_a_venue_begins_a_formula_and_none_is_changed_but_for_that(text: str) -> None:
    cell = formats.cell(text)

    assert cell[:1] not in ("=", "+", "-", "@", "\t", "\r", "\n")
    assert cell in (text, "\u2060" + text)


@pytest.mark.parametrize("sign", ["\uff1d", "\uff0b", "\uff0d", "\uff20"])
def test_a_full_width_sign_begins_no_formula_either(sign: str) -> None:
    assert formats.cell(f"{sign}cmd") == f"\u2060{sign}cmd"


@given(st.integers(0, 10**9))
def test_a_length_of_time_is_off_by_less_than_the_last_unit_it_names(seconds: int) -> None:
    words = formats.span(seconds).split()
    units = {"s": 1, "min": 60, "h": 3600, "m": 60, "d": 86_400, "y": 365 * 86_400}

    said = sum(float(number) * units[unit] for number, unit in zip(words[::2], words[1::2], strict=True))

    assert abs(seconds - said) < units[words[-1]]
