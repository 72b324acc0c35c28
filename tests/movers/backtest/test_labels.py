"""Labelled jumps as files tell them."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from kernel.errors import UserError
from movers.backtest.csv_rows import instant_us
from movers.backtest.labels import Label, read_labels
from schemas.units import US_PER_S

AT_US = 1_790_000_000 * US_PER_S


@pytest.mark.parametrize(
    "text",
    [
        "market,ts,direction\nM,1790000000,up\n",
        "market,ts_us,direction\nM,1790000000000000,up\n",
        "market,ts,direction\nM,2026-09-21T14:13:20Z,up\n",
        '{"market": "M", "ts": 1790000000, "direction": "up"}\n\n',
        '[{"market": "M", "ts_us": 1790000000000000, "direction": "up"}]',
        "market,ts_us,ts,direction\nM,,1790000000,up\n",
    ],
    ids=["seconds", "microseconds", "iso", "lines", "list", "empty column"],
)
def test_all_forms_of_a_file_tell_the_same_label(tmp_path: Path, text: str) -> None:
    path = tmp_path / "labels"
    path.write_text(text)

    assert read_labels(path) == [Label("M", AT_US, "up", None)]


@pytest.mark.parametrize(("before", "after", "direction"), [("0.40", "0.55", "up"), ("0.55", "0.40", "down")])
def test_prices_tell_size_and_direction(tmp_path: Path, before: str, after: str, direction: str) -> None:
    path = tmp_path / "labels.csv"
    path.write_text(f"market,ts,price_before,price_after\nM,1790000000,{before},{after}\n")

    (read,) = read_labels(path)

    assert read.direction == direction
    assert read.size_pp == pytest.approx(15.0)


def test_a_told_direction_counts_more_than_the_prices(tmp_path: Path) -> None:
    """A settlement to a neighbour's side may be labelled against its first print."""
    path = tmp_path / "labels.csv"
    path.write_text("market,ts,direction,price_before,price_after\nM,1,down,0.4,0.5\n")

    assert read_labels(path)[0].direction == "down"


@pytest.mark.parametrize("empty", ["price_before", "price_after"])
def test_a_truth_without_a_price_on_one_side_is_no_label(tmp_path: Path, empty: str) -> None:
    row = {"market": "M", "ts": 1, "price_before": 0.4, "price_after": 0.5} | {empty: None}
    path = tmp_path / "truth.jsonl"
    path.write_text(json.dumps(row))

    assert read_labels(path) == []


def test_of_what_was_looked_at_only_what_was_real_is_a_label_and_once_however_often_it_was_told() -> None:
    """The published file holds spikes and echoes too, and a jump once for each way by which it was told."""
    path = Path(__file__).parents[3] / "docs" / "data" / "looked_at.csv"
    with path.open(encoding="utf-8", newline="") as file:
        looked_at = list(csv.DictReader(file))

    labels = read_labels(path)

    real = {(row["market"], instant_us(row["ts"]), row["direction"]) for row in looked_at if row["seen"] == "real"}
    assert {(one.market_id, one.ts_us, one.direction) for one in labels} == real
    assert len(labels) == len(real) < len(looked_at)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "no column market"),
        ('"a text of JSON"', "no column market"),
        ("market,direction\nM,up\n", "row 1: no 'ts'"),
        ("ts\n1\n", "row 1: no 'market'"),
        ("market,ts\nM,1\nM,noon\n", "row 2: "),
        ("market,ts,direction\nM,1,sideways\n", "row 1: direction 'sideways'"),
        ("market,ts,price_before,price_after\nM,1,x,0.5\n", "row 1: could not convert"),
        ('{"market": "M"', "Expecting"),
        ("[1]", "row 1: "),
        ('{"market": "M", "ts": 1}\n7\n', "row 2: "),
        ('[{"market": null, "ts": 1}]', "row 1: "),
        ("ts,market\n1\n", "row 1: "),
        ('[{"market": "M", "ts_us": 1e999}]', "row 1: "),
        ("market,ts,price_before,price_after\nM,1,nan,0.5\n", "row 1: "),
        ("market,ts,price_before,price_after\nM,1,0.5,inf\n", "row 1: "),
        ("market,ts\nM,1790000000000\n", "row 1: not an instant"),
        (f"market,ts\n{'M' * 200_000},1\n", "field larger"),
    ],
)
def test_a_wrong_file_is_one_line_that_names_the_row(tmp_path: Path, text: str, says: str) -> None:
    path = tmp_path / "labels"
    path.write_text(text)

    with pytest.raises(UserError) as told:
        read_labels(path)

    assert str(told.value).startswith(f"labels {path}")
    assert says in str(told.value)
    assert "\n" not in str(told.value)


def test_a_header_alone_says_that_nothing_jumped(tmp_path: Path) -> None:
    path = tmp_path / "labels.csv"
    path.write_text("ts,market\n")

    assert read_labels(path) == []


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"labels .*none\.csv"):
        read_labels(tmp_path / "none.csv")


def test_a_byte_order_mark_is_no_part_of_a_label(tmp_path: Path) -> None:
    path = tmp_path / "labels.csv"
    path.write_bytes(b"\xef\xbb\xbfmarket,ts\nM,1\n")

    assert read_labels(path) == [Label("M", US_PER_S, None, None)]
