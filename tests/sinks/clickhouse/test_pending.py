"""Which records of predecessors a successor must carry out first, and which are none of its business any more."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from kernel.kafka.readers import Place
from sinks.clickhouse.batch import Span
from sinks.clickhouse.pending import Pending, unfinished

A, B, ELSEWHERE = ("ticks", 0), ("ticks", 1), ("bars", 0)
EPOCHS = {A: "t", B: "t", ELSEWHERE: "b"}


def record(
    owner: str, generation: int, spans: dict[Place, tuple[int, int]], number: int = 1, epoch: str = "t"
) -> Pending:
    return Pending(owner, generation, number, {place: Span(epoch, *span) for place, span in spans.items()})


def owners(records: list[Pending], stored_to: dict[Place, int], mine: set[Place]) -> list[str]:
    return [pending.owner for pending in unfinished(records, stored_to, EPOCHS, mine)]


def test_a_record_beyond_what_is_stored_is_carried_out_and_a_stored_one_is_not() -> None:
    begun = record("p", 1, {A: (10, 19)})

    assert owners([begun], {A: 9}, {A}) == ["p"]
    assert owners([begun], {A: 19}, {A}) == []


def test_a_record_of_a_place_that_was_never_stored_is_carried_out() -> None:
    assert owners([record("p", 1, {A: (0, 5)})], {}, {A}) == ["p"]


def test_a_record_of_which_one_place_is_stored_was_stored_whole() -> None:
    """Fences of a batch are written together: one that stands says that all its rows do."""
    assert owners([record("p", 1, {A: (10, 19), B: (5, 9)})], {A: 9, B: 9}, {A, B}) == []


def test_a_record_of_others_places_is_left_to_them() -> None:
    assert owners([record("p", 1, {B: (0, 5)})], {}, {A}) == []


def test_a_record_is_carried_out_whole_even_where_only_one_place_is_ours() -> None:
    (found,) = unfinished([record("p", 1, {A: (0, 5), B: (0, 7)})], {}, EPOCHS, {A})

    assert found.spans.keys() == {A, B}


def test_spans_of_a_topic_that_was_made_anew_are_left_out() -> None:
    spans = {A: Span("t", 0, 5), ELSEWHERE: Span("gone", 3, 4)}

    (found,) = unfinished([Pending("p", 1, 1, spans)], {}, EPOCHS, {A, ELSEWHERE})

    assert found.spans == {A: Span("t", 0, 5)}
    assert unfinished([Pending("p", 1, 1, spans)], {}, EPOCHS, {ELSEWHERE}) == []


def test_of_two_records_of_a_place_the_later_generation_counts() -> None:
    """The earlier one was dropped by its owner, who had lost the place."""
    older, newer = record("old", 1, {A: (10, 99)}, number=7), record("new", 2, {A: (10, 14)})

    assert owners([newer, older], {A: 9}, {A}) == ["new"]


def test_an_older_record_falls_with_the_one_place_that_somebody_had_taken_over() -> None:
    older, newer = record("old", 1, {A: (10, 19), B: (0, 5)}), record("new", 2, {A: (10, 14)})

    assert owners([older, newer], {A: 9}, {A, B}) == ["new"]


def test_records_are_carried_out_in_the_order_of_their_generations() -> None:
    records = [record("second", 2, {B: (0, 5)}), record("first", 1, {A: (0, 5)})]

    assert owners(records, {}, {A, B}) == ["first", "second"]


def test_a_claim_has_nothing_to_carry_out() -> None:
    assert owners([Pending("claim", 9)], {}, {A, B}) == []


places = st.sampled_from([A, B, ELSEWHERE])
spans = st.tuples(st.integers(0, 20), st.integers(0, 9)).map(lambda pair: (pair[0], sum(pair)))
records = st.lists(
    st.tuples(st.integers(1, 4), st.integers(0, 3), st.dictionaries(places, spans, max_size=3)), max_size=6
)


@given(records, st.dictionaries(places, st.integers(0, 25)), st.sets(places))
def test_no_place_is_written_by_two_records_and_nothing_stored_is_written_again(
    made: list[tuple[int, int, dict[Place, tuple[int, int]]]], stored_to: dict[Place, int], mine: set[Place]
) -> None:
    pendings = [
        Pending(f"{i}", generation, number, {at: Span(EPOCHS[at], *span) for at, span in each.items()})
        for i, (generation, number, each) in enumerate(made)
    ]

    todo = unfinished(pendings, stored_to, EPOCHS, mine)

    written = [place for pending in todo for place in pending.spans]
    assert len(written) == len(set(written))
    for pending in todo:
        assert mine & pending.spans.keys()
        assert all(span.first > stored_to.get(place, -1) for place, span in pending.spans.items())
