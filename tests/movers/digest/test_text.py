"""A digest as a reader sees it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from movers import console
from movers.digest import text
from movers.digest.summary import Digest, Gap, Told
from tests.movers.digest.episodes import DAY, HOUR, NOON, an_episode


def a_digest(**changes: Any) -> Digest:
    values: dict[str, Any] = {
        "ends_at": NOON,
        "length": DAY,
        "episodes": {"confirmed": 1, "reverted": 2, "undecided": 0},
        "told": (Told(episode=an_episode(), more_markets=0, is_old_story=False),),
        "before": (2, 4, 3),
        "is_whole": True,
        "gaps": (),
    }
    return Digest(**{**values, **changes})


def told(more_markets: int = 0, *, is_old_story: bool = False, **changes: Any) -> Told:
    return Told(episode=an_episode(**changes), more_markets=more_markets, is_old_story=is_old_story)


def test_a_quiet_day_in_lines() -> None:
    assert text.lines(a_digest(), limit=5) == [
        "24 hours to 2026-11-21 12:00 UTC",
        "Less than in each of the 3 days before (2 to 4): 1 event with a confirmed move.",
        "3 moves detected: 1 confirmed, 2 reverted, 0 never judged or not yet.",
        "",
        " +10.0 pp  Will a?",
        "           40.0 % → 50.0 %; Politics, Kalshi, 21 Nov 11:00; not graded yet",
        "",
        "The feeds told of no gap.",
    ]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"before": (0, 0, 0)}, "More than in each of the 3 days before (0 to 0): 1 event with a confirmed move."),
        ({"before": (0, 1, 2)}, "As in the 3 days before (0 to 2): 1 event with a confirmed move."),
        ({"before": (0,)}, "1 event with a confirmed move. Whether that is much is not known: too few whole ones"),
        ({"is_whole": False}, "1 event with a confirmed move. Whether that is much is not known: hours of it are"),
        ({"told": ()}, "Less than in each of the 3 days before (2 to 4): no confirmed move."),
        ({"length": 6 * HOUR}, "Less than in each of the 3 spans of 6 hours before (2 to 4): 1 event"),
    ],
)
def test_whether_it_is_much_is_said_with_what_it_is_compared_with(changes: dict[str, Any], said: str) -> None:
    assert text.lines(a_digest(**changes), limit=5)[1].startswith(said)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"kept": 0.8, "graded_after_s": 3600}, "80% of it stood after 1 h"),
        ({"kept": -0.1, "graded_after_s": 300}, "turned round after 5 min"),
        ({"kept": 0.8, "graded_after_s": 3600, "result": "yes"}, "settled as yes"),
    ],
)
def test_what_became_of_a_move_stands_beside_it(changes: dict[str, Any], said: str) -> None:
    assert text.lines(a_digest(told=(told(**changes),)), limit=5)[5].endswith(said)


def test_old_stories_have_a_heading_of_their_own_and_events_more_markets() -> None:
    lines = text.lines(a_digest(told=(told(2, event_title="The vote"), told(alert_id="b", is_old_story=True))), limit=5)

    assert lines[6] == "           and 2 more markets of The vote"
    assert lines[8:10] == ["Again, as in the time before:", " +10.0 pp  Will b?"]


def test_what_is_beyond_the_limit_is_counted() -> None:
    lines = text.lines(a_digest(told=tuple(told(alert_id=name) for name in "abc")), limit=1)

    assert "and 2 events more" in lines


def test_when_nobody_saw_anything_is_said() -> None:
    gaps = (Gap("kalshi", NOON - 2 * HOUR, NOON - HOUR), Gap("polymarket", NOON, None))

    assert text.lines(a_digest(gaps=gaps), limit=5)[-1] == (
        "Gaps of the feeds: Kalshi 21 Nov 10:00 to 21 Nov 11:00; Polymarket 21 Nov 12:00 to now"
    )


def test_a_venues_words_do_not_command_the_terminal() -> None:
    digest = a_digest(told=(told(1, title="\x1b[2Jgone", event_title="\x1b]0;x\x07", result="\x9b2J"),))

    assert not set("".join(text.lines(digest, limit=5))) & set("\x1b\x07\x9b")


def test_programs_get_one_object_with_every_event(capsys: pytest.CaptureFixture[str]) -> None:
    console.print_rows([text.as_object(a_digest())], as_json=True)

    said = json.loads(capsys.readouterr().out)
    assert (said["much"], said["events"], said["events_before"]) == ("less", 1, [2, 4, 3])
    assert said["to"] == "2026-11-21T12:00:00+00:00"
    assert (said["told"][0]["title"], said["told"][0]["peak_move_pp"]) == ("Will a?", 10.0)
