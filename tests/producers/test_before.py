"""Until when somebody saw the venue, by what is left of those who did."""

from __future__ import annotations

from pathlib import Path

import pytest

from producers.before import Mark, SeenUntil, only_begun, seen_until_us
from schemas.events import FeedStatus
from schemas.words import FeedWord


def status(state: FeedWord, at_us: int, since_us: int | None = None) -> FeedStatus:
    """What was said at an instant."""
    return FeedStatus(
        event_id="", venue="v", shard="all", state=state, ts_event_us=at_us, ts_received_us=at_us, detail="",
        markets_tracked=0, markets_stale=0, ticks_published=0, bad_messages=0, gap_started_us=since_us,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("statuses", "until_us"),
    [
        ([], None),
        ([status("connected", 10), status("connected", 70)], 70),
        ([status("connected", 10), status("gap_opened", 50, 20), status("gap_closed", 60, 20)], 60),
        ([status("connected", 10), status("gap_opened", 50, 20), status("connected", 55)], 20),
        ([status("gap_opened", 50, 20), status("gap_opened", 90, 55)], 20),
    ],
)
def test_the_venue_was_seen_until_the_last_word_of_somebody_who_had_an_answer(
    statuses: list[FeedStatus], until_us: int | None
) -> None:
    assert seen_until_us(statuses) == until_us


def test_a_first_look_that_never_became_a_whole_sweep_has_only_begun() -> None:
    first_look = [status("gap_opened", 10, 10), status("connected", 20), status("degraded", 30)]

    assert only_begun(first_look)
    assert not only_begun([*first_look, status("gap_closed", 40, 10)])
    assert not only_begun([status("connected", 10), status("gap_opened", 50, 20)]), "an earlier version said no gap"
    assert not only_begun([])


@pytest.mark.parametrize("word", ["disconnected", "degraded"])
def test_who_never_had_an_answer_does_not_make_the_time_before_it_seen(word: FeedWord) -> None:
    assert seen_until_us([status("connected", 10), status(word, 3_600)]) == 10
    assert seen_until_us([status(word, 3_600)]) is None


def test_the_mark_outlives_its_process_and_says_what_it_promised_and_whether_hands_were_full(tmp_path: Path) -> None:
    seen = SeenUntil(tmp_path)
    assert seen.read() is None

    seen.write(Mark(1_000, promise_s=15))
    assert seen.read() == Mark(1_000, promise_s=15, hands_full=False)

    seen.write(Mark(2_000, promise_s=110, hands_full=True))
    assert seen.read() == Mark(2_000, promise_s=110, hands_full=True)

    seen.write(Mark(3_000, begun=True))
    assert seen.read() == Mark(3_000, begun=True)


@pytest.mark.parametrize(
    ("text", "mark"),
    [("1000", Mark(1_000)), ("1000 full", Mark(1_000, hands_full=True)), ("", None), ("1000 much", None)],
)
def test_a_mark_of_an_earlier_version_is_read_and_a_broken_one_is_none(
    tmp_path: Path, text: str, mark: Mark | None
) -> None:
    (tmp_path / "seen_until").write_text(text)

    assert SeenUntil(tmp_path).read() == mark
