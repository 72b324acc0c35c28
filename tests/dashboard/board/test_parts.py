"""No insert is missed, whatever order inserts and merges are seen in; and what went is noticed."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from dashboard.board.parts import Part, is_lost, unread


def part(first: int, last: int | None = None) -> Part:
    return Part(f"all_{first}_{last or first}_0", first, last or first, 1)


def test_a_name_tells_the_range_also_after_a_mutation() -> None:
    assert Part.named("all_7_9_1", 5) == Part("all_7_9_1", 7, 9, 5)
    assert Part.named("all_7_9_1_12", 5).last == 9


def test_an_insert_that_is_seen_after_later_ones_is_unread() -> None:
    assert unread([part(7), part(8)], [part(6), part(8)]) == [part(7)]


def test_a_merge_of_read_parts_is_read() -> None:
    assert unread([part(5, 9)], [part(5, 6), part(7), part(8, 9)]) == []


def test_a_merge_with_an_insert_that_was_not_read_is_unread() -> None:
    assert unread([part(5, 9)], [part(5, 6), part(8, 9)]) == [part(5, 9)]


def test_a_merge_that_reaches_further_than_what_was_read_is_unread() -> None:
    assert unread([part(5, 10)], [part(5, 9)]) == [part(5, 10)]
    assert unread([part(4, 9)], [part(5, 9)]) == [part(4, 9)]


def test_rows_that_went_are_noticed_and_merged_ones_are_not_missed() -> None:
    assert is_lost([part(5), part(6)], [part(5)])
    assert is_lost([part(5, 6)], [part(5), part(6)])
    assert not is_lost([part(5), part(6)], [part(5, 6), part(7)])


@given(st.data())
def test_every_insert_is_read_whatever_is_merged_meanwhile(data: st.DataObject) -> None:
    parts: list[Part] = []
    hidden: list[Part] = []
    read: list[Part] = []
    seen: set[int] = set()
    maybe = st.booleans()
    for number in range(1, data.draw(st.integers(1, 25))):
        # A number is given out before its part is seen; later ones may be seen first. No merge spans it meanwhile.
        is_late = data.draw(maybe)
        (hidden if is_late else parts).append(part(number))
        if data.draw(maybe) and hidden:
            parts.append(hidden.pop(0))
        listed = sorted(parts, key=lambda each: each.first)
        wanted = unread(listed, read)
        if len(parts) > 1 and data.draw(maybe):
            _merge_two(data, parts, hidden)
        if data.draw(maybe):
            found = [each for each in wanted if each in parts]
            seen |= {insert for each in found for insert in range(each.first, each.last + 1)}
            read = [each for each in listed if each not in wanted or each in found]
            assert not is_lost(read, parts)
    for each in unread(parts, read):
        seen |= set(range(each.first, each.last + 1))

    assert seen >= {insert for each in parts for insert in range(each.first, each.last + 1)}


def _merge_two(data: st.DataObject, parts: list[Part], hidden: list[Part]) -> None:
    """Puts two neighbours together, unless an insert between them is still to come."""
    parts.sort(key=lambda each: each.first)
    at = data.draw(st.integers(0, len(parts) - 2))
    left, right = parts[at : at + 2]
    if not any(left.last < each.first < right.first for each in hidden):
        parts[at : at + 2] = [part(left.first, right.last)]
