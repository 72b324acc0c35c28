"""The audit of grades finds what it is for."""

from __future__ import annotations

from dataclasses import replace

from schemas.events import Alert
from schemas.units import US_PER_S
from tests.chaos.grades import Found, Grade, Place, compared, recomputed
from tests.sinks.events import NOON_US, an_alert

TOLD = an_alert(
    alert_id="a" * 24,
    token_id="A",
    ts_event_us=NOON_US,
    price_then_ppm=300_000,
    price_ppm=400_000,
    severity="medium",
)
MIDS = [("A", NOON_US + s * US_PER_S, ppm) for s, ppm in ((0, 400_000), (30, 350_000), (61, 200_000))]
LATER_US = {TOLD.venue: NOON_US + 30 * 60 * US_PER_S}
"""The grades of one, five and fifteen minutes must be there by then, that of an hour not."""


def given() -> dict[Place, Grade]:
    """What a sink without a fault gives by then."""
    of_all = recomputed([TOLD], MIDS)
    return {(TOLD.alert_id, after_s): of_all[TOLD.alert_id, after_s][1] for after_s in (60, 300, 900)}


def audited(grades: dict[Place, Grade], alerts: list[Alert]) -> Found:
    return compared(recomputed(alerts, MIDS), grades, LATER_US)


def test_a_grade_is_the_share_that_stood_by_the_last_mid_not_older_than_the_alert_and_a_quarter_of_an_hour() -> None:
    of_all = recomputed([TOLD], MIDS)

    assert {after_s: (grade.price_ppm, grade.kept) for (_, after_s), (_, grade) in of_all.items()} == {
        60: (350_000, 0.5), 300: (200_000, -1.0), 900: (200_000, -1.0), 3600: (None, None), 86_400: (None, None),
    }  # fmt: skip


def test_all_grades_as_they_should_be_are_good_though_told_again_and_later_ones_are_not_due() -> None:
    later = replace(TOLD, state="confirmed", severity="high", ts_event_us=NOON_US + US_PER_S)

    found = audited(given(), [later, TOLD, TOLD])

    assert found.line() == "grades: 3 equal, 0 wrong, 0 missing, 0 of what nobody was told"
    assert found.findings() == []


def test_a_wrong_grade_is_found() -> None:
    right, place = given(), (TOLD.alert_id, 300)
    for wrong in (
        right[place]._replace(kept=-0.9),
        right[place]._replace(kept=None, price_ppm=None),
        right[place]._replace(due_us=NOON_US),
        right[place]._replace(severity="high"),
    ):
        found = audited(right | {place: wrong}, [TOLD])
        assert found.line() == "grades: 2 equal, 1 wrong, 0 missing, 0 of what nobody was told"
        assert str(wrong) in found.findings()[0]


def test_a_grade_that_came_due_and_is_not_there_is_missing() -> None:
    grades = given()
    del grades[TOLD.alert_id, 60]

    found = audited(grades, [TOLD])

    assert found.line() == "grades: 2 equal, 0 wrong, 1 missing, 0 of what nobody was told"
    assert found.findings()[0].startswith(f"missing: {(TOLD.alert_id, 60)} of {TOLD.venue}")


def test_a_grade_of_what_was_never_told_as_an_episode_is_found() -> None:
    assert len(audited(given(), []).findings()) == 3
    assert len(audited(given(), [replace(TOLD, state="closed")]).findings()) == 3
