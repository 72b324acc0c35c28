"""Converters: recordings become tapes that say what the recording says. Made ones, and real ones where at hand."""

from __future__ import annotations

import csv
import gzip
import json
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

import pytest

from simulator.convert import convert, cut, kalshi_ticks, main
from simulator.tape import Line, Market, Quote, Tape, read_tape
from tests.payloads import HAS_RECORDED, RECORDED, present
from tests.producers.frame_lines import frames_of

SECOND = 1_000_000


@pytest.fixture(scope="module", params=["made", *(["recorded"] if HAS_RECORDED else [])])
def recordings(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a recording of each kind."""
    if request.param == "recorded":
        return RECORDED.parent / "recordings"
    folder = tmp_path_factory.mktemp("recordings")
    write_kalshi_ticks(folder / "kalshi_highny_ticks")
    write_polymarket_prices(folder / "polymarket_prices_history_1m_2026-01.csv.gz")
    write_gamma_snapshots(folder)
    return folder


def write_csv(path: Path, rows: list[dict[str, object]]) -> None:
    with gzip.open(path, "wt", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def write_kalshi_ticks(folder: Path) -> None:
    """Two days of six markets; an empty side is 0, and a stamp may come twice."""
    folder.mkdir()
    for day in ("05", "06"):
        rows: list[dict[str, object]] = []
        for number in range(60):
            strike = ("T30", "B30.5", "B32.5", "B34.5", "B36.5", "T37")[number % 6]
            yes, no = number % 7 * 10, (number + 3) % 5 * 10
            rows.append(
                {
                    "timestamp": f"2025-12-{day}T10:{number // 2:02d}:00.5",
                    "market_ticker": f"KXHIGHNY-25DEC{day}-{strike}",
                    "best_yes_bid": yes,
                    "best_no_bid": no,
                    "implied_yes_ask": 100 - no,
                }
            )
        write_csv(folder / f"market_data_KXHIGHNY-25DEC{day}.csv.gz", rows[::-1])


def write_polymarket_prices(path: Path) -> None:
    """Four questions of two events, at 0 and at 1 too."""
    prices = (0.5, 0.505, 0.5125, 0.9999, 1, 0.0001, 0)
    write_csv(
        path,
        [
            {
                "Event": f"Event {question % 2}",
                "Question": f"Question {question}?",
                "Outcome": "Yes" if question else "FaZe",
                "Timestamp": 1_767_225_600 + 60 * minute,
                "Price": price,
            }
            for question in range(4)
            for minute, price in enumerate(prices)
        ],
    )


def write_gamma_snapshots(folder: Path) -> None:
    """Two snapshots, a quarter of an hour apart, of twenty markets; of one Gamma gave no token ids."""
    columns = ["fetched_at", "price", "yes_bid", "yes_ask", "volume_24h"]
    name = "polymarket_gamma_snapshots_2026-04"
    with gzip.open(folder / f"{name}.jsonl.gz", "wt") as file:
        file.write(json.dumps({"columns": columns}) + "\n")
        for began_s in (1_775_000_000.25, 1_775_000_900.25):
            rows = [[str(n), began_s + n / 10, 0.5, 0.2 + n / 100, 0.25 + n / 100, 1000.0 * n] for n in range(20)]
            file.write(json.dumps({"rows": rows[::-1]}) + "\n")
    with gzip.open(folder / f"{name}.markets.jsonl.gz", "wt") as file:
        for n in range(20):
            tokens = (f"0x{n:064x}_yes", "") if n == 7 else (str(10**70 + 2 * n), str(10**70 + 2 * n + 1))
            row = {"market_id": str(n), "question": f"Question {n}?", "yes_token_id": tokens[0], "category": "crypto"}
            row |= {"no_token_id": tokens[1], "end_date_iso": "2026-05-01" if n % 2 else "2026-05-01T12:00:00+00:00"}
            file.write(json.dumps(row | {"negrisk_group_id": "0xabc" if n < 4 else None}) + "\n")


def quotes(tape: Tape, venue: str) -> list[Quote]:
    return [line for line in tape.lines(venue) if isinstance(line, Quote)]


def markets(tape: Tape, venue: str) -> dict[str, Market]:
    return {line.market: line for line in tape.lines(venue) if isinstance(line, Market)}


def test_kalshi_ticks_become_quotes_one_for_one(recordings: Path, tmp_path: Path) -> None:
    source = recordings / "kalshi_highny_ticks" / "market_data_KXHIGHNY-25DEC05.csv.gz"
    with gzip.open(source, "rt", newline="") as file:
        rows = list(csv.DictReader(file))
    expected = Counter(
        (
            round(datetime.fromisoformat(row["timestamp"]).replace(tzinfo=UTC).timestamp() * SECOND),
            row["market_ticker"],
            int(row["best_yes_bid"]) * 10_000 or None,
            int(row["implied_yes_ask"]) * 10_000 if int(row["best_no_bid"]) else None,
        )
        for row in rows
    )

    convert("kalshi-ticks", [source], tmp_path / "out.tape.gz")

    tape = read_tape(tmp_path / "out.tape.gz")
    assert Counter((q.ts_us, q.market, q.bid_ppm, q.ask_ppm) for q in quotes(tape, "kalshi")) == expected
    known = markets(tape, "kalshi")
    assert len(known) == 6
    assert known["KXHIGHNY-25DEC05-B32.5"].option == "32° to 33°"
    assert known["KXHIGHNY-25DEC05-T30"].option == "30° or below"
    assert known["KXHIGHNY-25DEC05-T37"].option == "37° or above"


def test_days_of_kalshi_ticks_are_merged_in_time(recordings: Path) -> None:
    folder = recordings / "kalshi_highny_ticks"
    lines = kalshi_ticks([folder / f"market_data_KXHIGHNY-25DEC{day}.csv.gz" for day in ("06", "05")])

    stamps = [line.ts_us for line in lines if isinstance(line, Quote)]

    assert stamps == sorted(stamps)


def test_polymarket_prices_become_last_trades_whose_mid_they_are(recordings: Path, tmp_path: Path) -> None:
    source = recordings / "polymarket_prices_history_1m_2026-01.csv.gz"
    with gzip.open(source, "rt", newline="") as file:
        rows = list(csv.DictReader(file))

    convert("polymarket-prices", [source], tmp_path / "out.tape")

    tape = read_tape(tmp_path / "out.tape")
    titles = {name: market.title for name, market in markets(tape, "polymarket").items()}
    found = quotes(tape, "polymarket")
    assert len(titles) == len({(row["Event"], row["Question"]) for row in rows}) > 0
    assert Counter((q.ts_us // SECOND, titles[q.market], q.last_ppm) for q in found) == Counter(
        (int(row["Timestamp"]), row["Question"], round(float(row["Price"]) * 1e6)) for row in rows
    )
    for quote in found:
        if quote.bid_ppm is not None and quote.ask_ppm is not None:
            assert (quote.bid_ppm + quote.ask_ppm) / 2 == quote.last_ppm
            assert quote.ask_ppm - quote.bid_ppm == 200


def test_gamma_snapshots_keep_their_rows_and_static_facts(recordings: Path, tmp_path: Path) -> None:
    source = recordings / "polymarket_gamma_snapshots_2026-04.jsonl.gz"
    with gzip.open(source, "rt") as file:
        next(file)
        first = json.loads(next(file))["rows"]

    convert("polymarket-snapshots", [source], tmp_path / "out.tape", for_us=600 * SECOND)

    tape = read_tape(tmp_path / "out.tape")
    known = markets(tape, "polymarket")
    ids = {name: market.market_id for name, market in known.items()}
    assert Counter((ids[q.market], q.bid_ppm, q.ask_ppm) for q in quotes(tape, "polymarket")) == Counter(
        (row[0], round(row[3] * 1e6), round(row[4] * 1e6)) for row in first
    )
    real_tokens = [market for market in known.values() if market.tokens]
    assert len(real_tokens) > 0.9 * len(known)
    assert any(market.exclusive for market in known.values())


@pytest.mark.parametrize(
    ("path", "count", "first"),
    [
        (path, count, first)
        for name, count, first in (
            ("ws_whole_book.jsonl", 2 + 13, (400_000, 500_000)),
            ("ws_orderbook_stream_2026-08-07.json", 12 + 245, (620_000, 630_000)),
        )
        for path in present("kalshi", [name])
    ],
)
def test_kalshi_frames_become_tops_of_the_book(path: Path, count: int, first: tuple[int, int], tmp_path: Path) -> None:
    received = [{"received_ms": 1_786_085_200_000, "frame": json.loads(frame)} for frame in frames_of(path)]
    source = tmp_path / "frames.json"
    source.write_text(json.dumps({"frames": received}))

    convert("kalshi-frames", [source], tmp_path / "out.tape")

    found = quotes(read_tape(tmp_path / "out.tape"), "kalshi")
    assert len(found) == count
    assert (found[0].bid_ppm, found[0].ask_ppm) == first
    assert all(q.bid_ppm < q.ask_ppm for q in found if q.bid_ppm is not None and q.ask_ppm is not None)


def some_lines() -> list[Line]:
    lines: list[Line] = [Market(venue="kalshi", market=name, title=name) for name in ("A", "B", "C")]
    for second in range(10):
        name = "ABC"[second % 3]
        lines.append(Quote(second * SECOND + 1, name, 100_000 + second, 200_000))
    return lines


def test_a_cut_keeps_the_first_markets_moments_and_span() -> None:
    def kept(**cuts: int) -> list[tuple[int, str]]:
        return [(q.ts_us // SECOND, q.market) for q in cut(some_lines(), **cuts) if isinstance(q, Quote)]

    assert kept(markets=2, moments=4) == [(0, "A"), (1, "B"), (3, "A"), (4, "B")]
    assert kept(from_us=4 * SECOND, for_us=2 * SECOND) == [(4, "B"), (5, "C")]
    introduced = [line.market for line in cut(some_lines(), markets=2) if isinstance(line, Market)]
    assert introduced == ["A", "B"]


def test_a_given_volume_goes_to_each_market_once() -> None:
    given = [line for line in cut(some_lines(), volume=5_000.0) if isinstance(line, Quote) and line.volume is not None]

    found = [(line.market, line.volume, line.volume_24h) for line in given]
    assert found == [(name, 5_000.0, 5_000.0) for name in "ABC"]


@pytest.mark.parametrize("kind", ["kalshi-ticks", "kalshi-frames", "polymarket-prices", "polymarket-snapshots"])
def test_what_is_not_such_a_recording_is_one_line_and_leaves_no_tape(
    kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "odd.jsonl").write_text("a,b\n1,2\n")
    (tmp_path / "odd.markets.jsonl").write_text("{}\n")

    assert main([kind, str(tmp_path / "odd.jsonl"), "--out", str(tmp_path / "out.tape")]) == 2

    error = capsys.readouterr().err
    assert error.startswith("error: cannot convert")
    assert error.count("\n") == 1
    assert not (tmp_path / "out.tape").exists()
