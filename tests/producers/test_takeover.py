"""A venue that is away when its collector starts: downstream is told at once, not with the first answer."""

from __future__ import annotations

from email.utils import format_datetime
from typing import Any

import httpx
import pytest

from kernel.errors import TransientError
from producers.before import Before, only_begun, seen_until_us
from producers.jobs import Jobs
from producers.takeover import ANSWER_WITHIN_S
from producers.tracked import Told
from schemas import topics
from schemas.events import FeedStatus, Tick
from schemas.units import US_PER_S, datetime_from_micros
from tests.producers.bench import START_US, Bench, kalshi_row, kalshi_venue, perform
from tests.producers.bench import bench as bench

pytestmark = [pytest.mark.stack, pytest.mark.parametrize("bench", ["kalshi"], indirect=True)]

PROMISE_S = 15
DOWN_S = 7_200


def away(request: httpx.Request) -> Any:
    raise httpx.ConnectError("connection refused", request=request)


def gaps(told: list[FeedStatus]) -> list[tuple[str, int | None]]:
    return [(status.state, status.gap_started_us) for status in told if status.gap_started_us is not None]


def starting(bench: Bench, before: Before, marked: list[int] | None = None) -> Jobs:
    jobs = bench.jobs("kalshi", (marked if marked is not None else []).append)
    perform(jobs, lambda: jobs.remember(before))
    return jobs


def wait(bench: Bench, jobs: Jobs, seconds: float) -> None:
    """Time passes, and the collector looks at the clock as often as a process does."""
    for _ in range(round(seconds * 5)):
        bench.clock.advance(0.2)
        jobs.watch()


def told_before(bench: Bench, ticker: str) -> dict[str, Told]:
    """A market as a collector before has told it."""
    bench.answer = kalshi_venue([kalshi_row(ticker)], {})
    jobs = bench.jobs("kalshi")
    perform(jobs, jobs.rounds.crawl)
    [market] = bench.published(topics.MARKETS, f"KALSHI:{ticker}")
    return {market.market_id: Told.of(market)}


def test_a_restart_after_a_downtime_tells_the_gap_and_its_begin_though_nothing_answers(bench: Bench) -> None:
    since_us = START_US - DOWN_S * US_PER_S
    jobs = starting(bench, Before({}, since_us, promise_s=PROMISE_S))

    wait(bench, jobs, ANSWER_WITHIN_S + 300)

    told = bench.statuses()
    first = [(s.state, s.gap_started_us) for s in told if not s.detail.startswith("as before")]
    assert first == [("disconnected", None), ("gap_opened", since_us)]
    assert {status.ts_received_us - START_US <= (ANSWER_WITHIN_S + 1) * US_PER_S for status in told[:2]} == {True}
    assert told[1].detail == f"nobody collected for {DOWN_S + ANSWER_WITHIN_S:.0f} s"
    assert jobs.seen_until_us is None, "whoever comes next goes on with this gap"


@pytest.mark.parametrize("answer", [away, lambda _: 500], ids=["refused", "500"])
def test_a_venue_that_never_answered_is_disconnected_however_few_sweeps_have_failed(bench: Bench, answer: Any) -> None:
    bench.answer = answer
    jobs = starting(bench, Before())

    bench.live(jobs, lambda: jobs.health()["feed"] == "disconnected", for_s=60)
    with pytest.raises(TransientError):
        perform(jobs, jobs.rounds.sweep)
    bench.live(jobs, lambda: bench.clock.now_us() > START_US + 300 * US_PER_S)

    said = [s.state for s in bench.statuses() if not s.detail.startswith("as before") and s.gap_started_us is None]
    assert [state for state in said if state != "degraded"] == ["disconnected"]
    assert said[-1] == "disconnected"


def test_the_gap_of_a_downtime_is_told_once_and_closed_by_the_first_whole_sweep(bench: Bench) -> None:
    since_us, markets = START_US - DOWN_S * US_PER_S, told_before(bench, "KXE-AWAY")
    jobs = starting(bench, Before(markets, since_us, promise_s=PROMISE_S))
    wait(bench, jobs, 100)
    back_us = bench.clock.now_us()

    perform(jobs, jobs.rounds.crawl)
    before_the_sweep = gaps(bench.statuses())
    perform(jobs, jobs.rounds.sweep)

    told = bench.statuses()
    assert before_the_sweep == [("gap_opened", since_us)]
    assert gaps(told) == [("gap_opened", since_us), ("gap_closed", since_us)]
    assert told[-1].ts_event_us >= back_us - US_PER_S, "Dates are cut to seconds"
    ticks: list[Tick] = bench.published(topics.TICKS, "KALSHI:KXE-AWAY")
    assert [tick.flags for tick in ticks] == [(), ("after_gap",)]


def test_the_markets_of_the_process_before_are_stale_when_its_promise_is_broken(bench: Bench) -> None:
    markets = told_before(bench, "KXE-OWING")
    jobs = starting(bench, Before(markets, START_US - DOWN_S * US_PER_S, promise_s=PROMISE_S))

    wait(bench, jobs, ANSWER_WITHIN_S + 1)

    [gap] = [status for status in bench.statuses() if status.state == "gap_opened"]
    assert (gap.markets_tracked, gap.markets_stale) == (1, 1)


def test_a_quick_restart_is_a_gap_only_when_what_was_promised_before_is_broken(bench: Bench) -> None:
    since_us = START_US - 5 * US_PER_S
    jobs = starting(bench, Before({}, since_us, promise_s=PROMISE_S))

    wait(bench, jobs, 2.5 * PROMISE_S - 5 - 1)
    early = bench.statuses()
    wait(bench, jobs, 2)

    assert ([status.state for status in early], jobs.health()["feed"]) == (["disconnected"], "disconnected")
    assert gaps(bench.statuses()) == [("gap_opened", since_us)]


def test_a_first_start_of_all_says_that_nothing_was_ever_seen_and_since_when_it_asks(bench: Bench) -> None:
    marked: list[int] = []
    jobs = starting(bench, Before(), marked)

    wait(bench, jobs, 120)
    while_away = bench.statuses()
    bench.answer = kalshi_venue([kalshi_row("KXE-EVER")], {})
    perform(jobs, jobs.rounds.crawl, jobs.rounds.sweep)

    assert [status.state for status in while_away[:2]] == ["disconnected", "gap_opened"]
    assert gaps(while_away) == [("gap_opened", START_US)]
    assert gaps(bench.statuses()) == [("gap_opened", START_US), ("gap_closed", START_US)]
    assert marked == [START_US], "whoever comes next goes on with the gap that was told"
    assert (seen_until_us(while_away), only_begun(while_away)) == (START_US, True), "without the mark too"
    [tick] = bench.published(topics.TICKS, "KALSHI:KXE-EVER")
    assert tick.flags == ("after_gap",)


@pytest.mark.parametrize("until_us", [None, START_US - 2 * DOWN_S * US_PER_S], ids=["first start", "restart"])
def test_a_venue_whose_time_turns_out_to_be_behind_has_its_gap_told_anew_by_its_own_clock(
    bench: Bench, until_us: int | None
) -> None:
    jobs = starting(bench, Before({}, until_us, promise_s=PROMISE_S))
    wait(bench, jobs, 60)
    theirs_us = bench.clock.now_us() - DOWN_S * US_PER_S
    bench.headers = lambda: {"Date": format_datetime(datetime_from_micros(theirs_us), usegmt=True)}
    bench.answer = kalshi_venue([kalshi_row("KXE-BEHIND")], {})

    perform(jobs, jobs.rounds.crawl, jobs.rounds.sweep)

    told = [status for status in bench.statuses() if status.gap_started_us is not None]
    ours_us = START_US if until_us is None else until_us
    assert gaps(told) == [
        ("gap_opened", ours_us),
        ("gap_closed", ours_us),
        ("gap_opened", until_us or theirs_us),
        ("gap_closed", until_us or theirs_us),
    ]
    assert [status.ts_event_us for status in told[2:]] == [theirs_us, theirs_us]
