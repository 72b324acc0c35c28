"""The command over small tapes of known content, among them two false moves of real markets."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from movers.cli import app

NIGHT = 1_790_000_000
Row = tuple[float, str, float]


def backtest(
    folder: Path, rows: Sequence[tuple[object, ...]], *arguments: str, header: str = "ts,market,price"
) -> dict[str, Any]:
    tape, out = folder / "tape.csv", folder / "out.json"
    tape.write_text("\n".join([header, *(",".join(map(str, row)) for row in rows)]) + "\n")
    result = CliRunner().invoke(app, ["backtest", "--tape", str(tape), "--json", str(out), *arguments])
    assert result.exit_code == 0, result.output
    told: dict[str, Any] = json.loads(out.read_text())
    return told


def quiet(market: str, price: float, from_s: float, until_s: float, step_s: float = 10) -> list[Row]:
    rng, rows, at_s = random.Random(f"{market}{from_s}"), [], from_s
    while at_s < until_s:
        rows.append((NIGHT + at_s, market, round(price + rng.choice((-0.01, 0.0, 0.01)), 2)))
        at_s += step_s
    return rows


def stages(told: dict[str, Any]) -> list[tuple[str, str, str]]:
    return [
        (
            a["market"],
            a["direction"],
            "confirmed" if a["confirmed_us"] else "reverted" if a["reverted_us"] else "detected",
        )
        for a in told["alerts"]
    ]


def test_a_football_spike_reverts_and_the_true_step_six_minutes_later_is_confirmed(tmp_path: Path) -> None:
    """Real: 0.49, 0.72, 0.49 within a minute at 20:23, then 0.44, 0.79, 0.84 at 20:29, which held."""
    rows = quiet("FOOT", 0.49, 0, 3600)
    rows += [(NIGHT + 3605, "FOOT", 0.72), (NIGHT + 3630, "FOOT", 0.70), (NIGHT + 3650, "FOOT", 0.49)]
    rows += quiet("FOOT", 0.47, 3660, 3960)
    rows += [(NIGHT + 3960, "FOOT", 0.44), (NIGHT + 3965, "FOOT", 0.79), (NIGHT + 3980, "FOOT", 0.84)]
    rows += quiet("FOOT", 0.84, 3990, 7600)

    told = backtest(tmp_path, rows)

    assert [s for s in stages(told) if s[2] == "confirmed" or s[1] == "up"] == [
        ("FOOT", "up", "reverted"),
        ("FOOT", "up", "confirmed"),
    ]
    true_step = told["alerts"][-1]
    assert true_step["detected_us"] == (NIGHT + 3965) * 1_000_000
    assert true_step["confirmed_us"] - true_step["detected_us"] <= 60_000_000
    assert true_step["grades"]["300"] > 0.9


@pytest.mark.parametrize("with_quotes", [False, True])
def test_a_sweep_that_prints_thirty_while_the_quotes_stay_reverts_or_is_never_told(
    tmp_path: Path, with_quotes: bool
) -> None:
    rows: list[Any] = [(NIGHT + s, "M", 0.15, 0.14, 0.16) for s in range(0, 7200, 15)]
    rows.append((NIGHT + 4001, "M", 0.30, 0.14, 0.16))
    if with_quotes:
        assert stages(backtest(tmp_path, rows, header="ts,market,price,bid,ask")) == []
    else:
        assert stages(backtest(tmp_path, [row[:3] for row in rows])) == [("M", "up", "reverted")]


def test_a_restart_after_ten_hours_opens_nothing_false(tmp_path: Path) -> None:
    hour = 3600
    rows = []
    for place, market in enumerate("ABCDE"):
        rows += quiet(market, 0.30 + place / 10, 0, 2 * hour, 20)
        rows += quiet(market, 0.45 + place / 10, 12 * hour, 14 * hour, 20)

    assert backtest(tmp_path, rows)["alerts"] == []


def test_a_move_across_a_gap_is_told_as_such(tmp_path: Path) -> None:
    hour = 3600
    rows = [*quiet("A", 0.30, 0, 26 * hour, 50), *quiet("A", 0.45, 36 * hour, 37 * hour, 50)]

    (alert,) = backtest(tmp_path, rows)["alerts"]

    assert (alert["windows_s"], alert["across_gap"], alert["kind"]) == ([86_400], True, "across_gap")


def jumps(market: str, *at_s: float) -> list[Row]:
    """Quiet but for jumps of 15 points, up and down in turn, which hold."""
    rows, price, since = [], 0.40, 0.0
    for at in (*at_s, at_s[-1] + 4000):
        rows += quiet(market, price, since, at)
        price, since = (0.55 if price == 0.40 else 0.40), at
    return rows


def test_labels_give_precision_recall_and_delay(tmp_path: Path) -> None:
    rows = [*jumps("A", 2000, 9000), *jumps("B", 5000)]
    labels = tmp_path / "labels.csv"
    labels.write_text(
        f"ts,market,direction\n{NIGHT + 2000},A,up\n{NIGHT + 9000},A,down\n{NIGHT + 100},A,up\n{NIGHT + 5003},B,down\n"
    )

    summary = backtest(tmp_path, rows, "--labels", str(labels))["summary"]

    assert (summary["labels"], summary["visible"], summary["found"]) == (4, 2, 2)
    assert (summary["steps"], summary["right"]) == (3, 2)
    assert summary["recall"] == 1.0
    assert summary["precision"] == pytest.approx(2 / 3)
    assert summary["delay_s"] == {"p50": 0.0, "p95": 0.0}


def test_the_same_tape_gives_the_same_bytes(tmp_path: Path) -> None:
    rows, out = jumps("A", 2000), tmp_path / "out.json"

    backtest(tmp_path, rows)
    once = out.read_bytes()
    backtest(tmp_path, rows)

    assert out.read_bytes() == once


def test_what_was_wrong_is_named_as_what_was_missed_is(tmp_path: Path) -> None:
    labels = tmp_path / "labels.csv"
    labels.write_text(f"ts,market\n{NIGHT + 2000},A\n{NIGHT + 2000},ELSEWHERE\n")

    summary = backtest(tmp_path, [*jumps("A", 2000), *jumps("B", 2000)], "--labels", str(labels))["summary"]

    assert [(w["market"], w["rule"]) for w in summary["wrong"]] == [("B", "default")]
    assert NIGHT + 2000 <= summary["wrong"][0]["detected_us"] / 1_000_000 < NIGHT + 2060
    assert summary["labels_of_unknown_markets"] == 1


@pytest.mark.parametrize("form", ["lines", "list"])
def test_the_simulators_truth_is_a_labels_file(tmp_path: Path, form: str) -> None:
    truth = [
        {"ts_us": (NIGHT + 2000) * 1_000_000, "market": "A", "price_before": 0.40, "price_after": 0.55},
        {"ts_us": (NIGHT + 2500) * 1_000_000, "market": "A", "price_before": None, "price_after": 0.55},
    ]
    labels = tmp_path / "truth.jsonl"
    labels.write_text(json.dumps(truth) if form == "list" else "\n".join(map(json.dumps, truth)))

    summary = backtest(tmp_path, jumps("A", 2000), "--labels", str(labels))["summary"]

    assert (summary["labels"], summary["found"], summary["precision"]) == (1, 1, 1.0)


def test_from_and_to_bound_what_counts_and_earlier_history_still_serves(tmp_path: Path) -> None:
    rows = jumps("A", 2000, 9000)

    told = backtest(tmp_path, rows, "--from", str(NIGHT + 8900), "--to", str(NIGHT + 10_000))

    assert stages(told) == [("A", "down", "confirmed")]
    assert told["summary"]["days"] == pytest.approx(1100 / 86_400, abs=0.001)
    assert told["summary"]["warm_up_s"] == 8900


def test_rules_of_a_file_are_tried_side_by_side(tmp_path: Path) -> None:
    rules = tmp_path / "rules.toml"
    rules.write_text('[[rules]]\nname = "up"\ndirection = "up"\n[[rules]]\nname = "huge"\nthreshold_pp = 50\n')

    told = backtest(tmp_path, jumps("A", 2000, 9000), "--rules", str(rules))

    assert [(a["rule"], a["direction"]) for a in told["alerts"]] == [("up", "up")]
    assert set(told["summary"]["rules"]) == {"up", "huge"}


def test_without_labels_the_grades_are_told_and_no_share_of_few_cases(tmp_path: Path) -> None:
    kept = backtest(tmp_path, jumps("A", 2000, 9000))["summary"]["kept"]

    assert kept["300"] == {"cases": 2, "kept": 2, "reversed": 0}


def test_the_page_holds_each_alert_and_nothing_from_elsewhere(tmp_path: Path) -> None:
    page = tmp_path / "page.html"

    backtest(tmp_path, jumps("<A>", 2000), "--html", str(page))

    text = page.read_text()
    assert "&lt;A&gt;" in text
    assert "abs_move_pp" in text
    assert "<script src" not in text


def test_a_day_before_the_tape_is_no_day_without_alerts(tmp_path: Path) -> None:
    rows = jumps("A", 2000, 9000)

    whole = backtest(tmp_path, rows)["summary"]
    early = backtest(tmp_path, rows, "--from", str(NIGHT - 86_400))["summary"]

    assert (early["from"], early["alerts_a_day"]) == (whole["from"], whole["alerts_a_day"])


def test_a_rule_that_looks_at_no_market_of_the_tape_is_named(tmp_path: Path) -> None:
    rules = tmp_path / "rules.toml"
    rules.write_text('[[rules]]\nname = "all"\n[[rules]]\nname = "theirs"\nvenues = ["kalshi"]\n')

    summary = backtest(tmp_path, jumps("A", 2000), "--rules", str(rules))["summary"]

    assert summary["rules_without_markets"] == ["theirs"]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--from", "noon"), "--from"),
        (("--from", "5", "--to", "4"), "--from is later than --to"),
        (("--from", "3"), "the tape ends at 1970-01-01T00:00:01+00:00, before --from"),
        (("--to", "0"), "nothing to play"),
        (("--json", "none/out.json"), "cannot write none/out.json"),
        (("--html", "none/out.html"), "cannot write none/out.html"),
        (("--rules", "none.toml"), "alert rules none.toml"),
        (("--labels", "none.csv"), "labels none.csv"),
    ],
)
def test_a_wrong_argument_is_one_line(tmp_path: Path, arguments: tuple[str, ...], says: str) -> None:
    tape = tmp_path / "tape.csv"
    tape.write_text("ts,market,price\n1,A,0.5\n")

    result = CliRunner().invoke(app, ["backtest", "--tape", str(tape), *arguments])

    assert result.exit_code != 0
    assert says in str(result.exception)


def test_what_a_tried_rule_leaves_out_is_the_settings_as_it_will_be_live_whatever_rules_are_in_force_today(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    today, tried = tmp_path / "today.json", tmp_path / "tried.json"
    today.write_text('[{"name": "watch", "threshold_pp": 30, "markets": ["OTHER"], "direction": "down"}]')
    tried.write_text('[{"name": "all"}]')
    monkeypatch.setenv("ALERT_RULES", str(today))

    told = backtest(tmp_path, [*quiet("M", 0.40, 0, 3600), *quiet("M", 0.55, 3600, 4200)], "--rules", str(tried))

    assert stages(told) == [("M", "up", "confirmed")]


def test_no_rule_is_asked_for_a_jump_that_only_another_one_could_have_seen(tmp_path: Path) -> None:
    """Four points where only the rule of six looks, a fall where only rises count, a rise before an hour was known."""
    rules, labels = tmp_path / "rules.json", tmp_path / "labels.csv"
    rules.write_text(
        '[{"name": "six", "markets": ["A", "B"], "direction": "up", "windows_s": [3600]},'
        ' {"name": "three", "markets": ["C"], "threshold_pp": 3, "windows_s": [3600]}]'
    )
    rows: list[Row] = [(NIGHT + s, m, pp / 100) for s in range(0, 7200, 10) for m, pp in _at(s).items()]
    labels.write_text(
        f"market,ts,direction\nA,{NIGHT + 3600},up\nB,{NIGHT + 3600},down\nC,{NIGHT + 3600},up\nC,{NIGHT + 1200},up\n"
        f"D,{NIGHT + 3600},up\n"
    )

    summary = backtest(tmp_path, rows, "--rules", str(rules), "--labels", str(labels))["summary"]

    assert (summary["labels"], summary["visible"], summary["found"]) == (5, 1, 1)


def _at(at_s: int) -> dict[str, float]:
    """Points of four markets: A rises by 4, B falls by 10, C rises by 4 twice, D by 10."""
    if at_s < 3600:
        return {"A": 40, "B": 40, "C": 40 if at_s < 1200 else 44, "D": 40}
    return {"A": 44, "B": 30, "C": 48, "D": 50}


def test_a_rule_for_dollars_in_the_window_is_named_where_the_tape_tells_of_none(tmp_path: Path) -> None:
    rules, priced = tmp_path / "rules.json", quiet("M", 0.40, 0, 600)
    rules.write_text('[{"name": "all"}, {"name": "paid", "min_window_usd": 500}]')

    silent = backtest(tmp_path, priced, "--rules", str(rules))["summary"]
    paid = [(*row, 10.0) for row in priced]
    told = backtest(tmp_path, paid, "--rules", str(rules), header="ts,market,price,size_usd")["summary"]

    assert (silent["rules_without_dollars"], told["rules_without_dollars"]) == (["paid"], [])
