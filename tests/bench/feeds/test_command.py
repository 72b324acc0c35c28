"""Figures of several collectors are added up as if one had read everything."""

from __future__ import annotations

import json
from typing import Any

from bench.feeds.collector import Ways
from bench.feeds.command import counted, merged, table


def figures(took_ms: list[int], **more: Any) -> dict[str, Any]:
    """As a collector prints them."""
    ways = Ways()
    for each in took_ms:
        ways.took(each * 1_000)
    found = {
        "opened_after_s": 1.0,
        "connections": 1,
        "took_s": 10.0,
        "frames": len(took_ms),
        "ticks": 0,
        "cpu_s": 1.0,
        "rss_mb": [100],
        "sent_to_read": ways,
        "sent_to_ack": ways,
        "read_to_ack": {0.01: 0, float("inf"): len(took_ms)} | more.pop("read_to_ack", {}),
    }
    return dict(json.loads(json.dumps(found | more)))


def test_a_quantile_is_of_all_ways_and_no_mean_of_two() -> None:
    whole = merged([figures([1] * 98), figures([500, 900])])

    assert [whole[f"sent_to_ack_{word}_ms"] for word in ("p50", "p90", "p99")] == [2, 2, 501]


def test_counts_are_added_and_what_can_be_told_apart_is() -> None:
    whole = merged(
        [figures([1] * 60, cpu_s=0.003), figures([1] * 40, cpu_s=0.001, opened_after_s=4.0, rss_mb=[90, 95])]
    )

    assert (whole["frames_per_s"], whole["cpu_us_per_frame"], whole["opened_after_s"]) == (10, 40.0, 4.0)
    assert whole["rss_mb"] == [[100], [90, 95]]


def test_the_way_to_the_acknowledgement_is_read_off_the_added_histograms() -> None:
    edges = {0.01: 3, 0.1: 4, float("inf"): 4}
    whole = merged([figures([1], read_to_ack=edges), figures([1], read_to_ack={0.01: 0, 0.1: 96, float("inf"): 96})])

    assert (whole["ack_p50_ms"], whole["ack_p99_ms"]) == (100.0, 100.0)


def test_a_clock_that_went_back_took_no_time_and_the_longest_are_one() -> None:
    ways = Ways()
    for us in (-5, 10**12):
        ways.took(us)

    assert dict(ways) == {0: 1, 120_000: 1}


def test_what_was_sent_and_not_read_is_dropped_on_whichever_connection() -> None:
    assert counted([5, 3], [3, 4], mirrored=False) == {"frames_sent": 8, "frames_read": 7, "dropped": 1}


def test_connections_that_tell_the_same_are_told_apart() -> None:
    whole = counted([9, 10], [10, 8], mirrored=True)

    assert (whole["sent_on_each"], whole["read_on_each"], whole["dropped"]) == ([9, 10], [8, 10], 1)


def test_venues_stand_side_by_side_and_each_has_its_own_figures() -> None:
    found = table([{"venue": "one", "rate": 7_000, "read_us": 4.2}, {"venue": "two", "rate": 5, "each": [1, 2]}])

    assert [line.split() for line in found] == [
        ["venue", "one", "two"],
        ["rate", "7000", "5"],
        ["read_us", "4.2"],
        ["each", "[1,", "2]"],
    ]
    assert found[0].index("two") == found[1].index("5") == found[3].index("[1")
