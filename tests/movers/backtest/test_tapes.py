from __future__ import annotations

import gzip
import time
from pathlib import Path

import pytest

from kernel.errors import UserError
from movers.backtest.csv_rows import instant_us
from movers.backtest.tapes import read
from simulator.tape import Close, Market, Quote, Settle, write_tape


def test_csv_rows_become_ticks_in_order_of_time(tmp_path: Path) -> None:
    path = tmp_path / "tape.csv"
    path.write_text("ts,market,price,bid,ask,size_usd\n20,A,0.30,0.14,0.16,100\n10,A,0.15,,,50\n10.5,B,0.5,0.2,0.8,\n")

    ticks = list(read(path, 5_000.0).ticks)

    assert [(t.ts_event_us, t.market_id, t.price_ppm, t.price_basis) for t in ticks] == [
        (10_000_000, "A", 150_000, "mid"),
        (10_500_000, "B", 500_000, "last"),
        (20_000_000, "A", 150_000, "mid"),
    ]
    assert [(t.volume_total_usd, t.volume_24h_usd) for t in ticks] == [(50.0, 5000.0), (None, 5000.0), (150.0, 5000.0)]


def test_of_rows_of_one_market_and_instant_the_last_is_played_and_all_are_counted(tmp_path: Path) -> None:
    path = tmp_path / "tape.csv.gz"
    path.write_bytes(gzip.compress(b"ts,market,price,size_usd\n1,A,0.1,5\n1,B,0.2,\n1,A,0.3,7\n"))

    ticks = {t.market_id: t for t in read(path).ticks}

    assert (ticks["A"].price_ppm, ticks["A"].volume_total_usd) == (300_000, 12.0)


def test_what_a_csv_does_not_tell_is_named_as_assumed(tmp_path: Path) -> None:
    path = tmp_path / "tape.csv"
    path.write_text("ts,market,price\n1,A,0.1\n")

    assert read(path, 7_000.0).assumed == [
        "volume_24h_usd 7,000 for every market (CSV tells none)",
        "a book of 0.0001 either side where a row has a price alone and its market had told no book",
    ]


def test_a_price_alone_is_a_trade_where_the_book_is_known_and_no_tight_book_of_its_own(tmp_path: Path) -> None:
    """A market quoted 0.80/0.83 printed 0.40 and stood: it was read as a believable mid of 0.40 and confirmed."""
    path = tmp_path / "tape.csv"
    path.write_text(
        "ts,market,price,bid,ask\n1,A,0.41,,\n2,A,0.40,0.80,0.83\n3,A,0.40,,\n4,B,0.40,,\n5,A,0.9,0.88,\n6,A,0.7,,\n"
    )

    recording = read(path)

    assert [(t.market_id, t.bid_ppm, t.ask_ppm, t.last_ppm, t.price_ppm) for t in recording.ticks] == [
        ("A", 409_900, 410_100, 410_000, 410_000),
        ("A", 800_000, 830_000, 400_000, 815_000),
        ("A", 800_000, 830_000, 400_000, 815_000),
        ("B", 399_900, 400_100, 400_000, 400_000),
        ("A", 880_000, None, 900_000, 900_000),
        ("A", 880_000, None, 700_000, 700_000),
    ]
    assert recording.assumed[1:] == [
        "a book of 0.0001 either side where a row has a price alone and its market had told no book",
        "the book last told where a row has a price alone and its market had told one",
    ]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "line 1: no column ts"),
        ("ts,price\n", "line 1: no column market"),
        ("ts,market,price\n", "has no rows"),
        ("ts,market,price\n1,A,0.5\nnoon,A,0.5\n", "line 3: "),
        ("ts,market,price\n1,A,50\n", "line 2: price 50 outside 0..1"),
        ("ts,market,price\n1,A,50%\n", "line 2: price '50%' is no number"),
        ("ts,market,price,size_usd\n1,A,0.5,much\n", "line 2: size_usd 'much' is no number"),
        ("ts,market,price,bid,price\n1,A,0.5,,0.6\n", "line 1: two columns price"),
        ("ts,market,price\n1,,0.5\n", "line 2: market and price are needed"),
        ("ts,market,price\nnan,A,0.5\n", "line 2: not an instant"),
        ("ts,market,price\n1790000000000,A,0.5\n", "line 2: not an instant.*1790000000000.*milliseconds"),
        ("ts,market,price\n-5,A,0.5\n", "line 2: not an instant"),
        ("ts,market,price\n0001-01-01T00:00:00+14:00,A,0.5\n", "line 2: not an instant"),
        ("ts,market,price\n1,A\n", "line 2: market and price are needed"),
        ('ts,market,price\n1,"A,0.5\n2,A,0.6\n', "line 2: market and price are needed"),
        ("ts,market,price\n1,A,0,5\n", "line 2: 4 fields under 3 names"),
        ("ts,market,price,size_usd\n1,A,0.5,nan\n", "line 2: size_usd nan"),
        ("ts;market;price\n1;A;0.5\n", "line 1: no column ts in 'ts;market;price'.*told apart by commas"),
        ("ts,market,price\n1,A,0.5\n\n\n2,A,often\n", "line 5: price 'often' is no number"),
        ('ts,market,price\n1,A,0.5\n2,"A\n' + "3,A,0.5\n" * 20_000, "line 3: field larger than field limit"),
        ("ts,market,price\n1,A,0.5" + " " * 1_000_000, "line 2: longer than 999,999 characters"),
        ("ts,market,price,size_usd\n1,A,0.5,inf\n", "line 2: size_usd inf"),
        ("ts,market,price,size_usd\n1,A,0.5,-3\n", "line 2: size_usd -3"),
    ],
)
def test_a_wrong_csv_is_one_line_that_names_the_row(tmp_path: Path, text: str, says: str) -> None:
    path = tmp_path / "tape.csv"
    path.write_text(text)

    with pytest.raises(UserError, match=says):
        list(read(path).ticks)


def test_a_csv_as_spreadsheets_write_it_is_read(tmp_path: Path) -> None:
    """With a byte order mark, carriage returns, empty lines and an ending in capitals."""
    path = tmp_path / "TAPE.CSV"
    path.write_bytes(b"\xef\xbb\xbfts,market,price\r\n\r\n1,A,0.5\r\n2,A,0.6\r\n\r\n")

    assert [t.price_ppm for t in read(path).ticks] == [500_000, 600_000]


def test_spaces_after_commas_are_no_part_of_names_and_markets(tmp_path: Path) -> None:
    path = tmp_path / "tape.csv"
    path.write_text('ts, market, price\n1, A, 0.5\n2, "A, B", 0.6\n')

    assert [(t.market_id, t.price_ppm) for t in read(path).ticks] == [("A", 500_000), ("A, B", 600_000)]


def test_columns_are_known_in_any_order_and_case_and_a_market_by_its_name_without_spaces(tmp_path: Path) -> None:
    path = tmp_path / "tape.csv"
    path.write_text("\nPrice , MARKET,note,Ts\n0.1,A ,,1\n0.2, A,,2\n")

    ticks = read(path).ticks

    assert [(t.ts_event_us, t.market_id, t.price_ppm) for t in ticks] == [
        (1_000_000, "A", 100_000),
        (2_000_000, "A", 200_000),
    ]


def test_text_that_is_no_utf8_names_the_line_before_which_all_is_well(tmp_path: Path) -> None:
    path = tmp_path / "tape.csv"
    path.write_bytes(b"ts,market,price\n" + b"1,A,0.5\n" * 5_000 + "1,Übung,0.5\n".encode("latin-1"))

    with pytest.raises(UserError, match=r"tape\.csv, line (\d+) or later: no UTF-8 text") as refused:
        read(path)

    assert 3_000 < int(str(refused.value).split("line ")[1].split()[0]) <= 5_002


@pytest.mark.parametrize("damage", ["bits", "cut"])
def test_a_damaged_archive_is_one_line_that_names_it(tmp_path: Path, damage: str) -> None:
    whole = bytearray(gzip.compress(b"ts,market,price\n1790000000,A,0.5\n"))
    if damage == "bits":
        whole[10] |= 0b110  # a kind of block that there is not
    path = tmp_path / "tape.csv.gz"
    path.write_bytes(whole if damage == "bits" else whole[:30])

    with pytest.raises(UserError, match=r"cannot read tape .*tape\.csv\.gz"):
        read(path)


def test_a_row_costs_the_same_however_many_markets_share_its_instant(tmp_path: Path) -> None:
    """Of rows of one instant each was once compared with all before it: 20,000 markets took a minute a minute."""
    path = tmp_path / "tape.csv"
    path.write_text("ts,market,price\n" + "".join(f"{at},M{i},0.5\n" for at in (1, 2) for i in range(20_000)))
    ticks = read(path).ticks

    began_s = time.process_time()
    count = sum(1 for _ in ticks)

    assert count == 40_000
    assert time.process_time() - began_s < 10


def test_a_market_of_many_rows_stands_in_memory_by_one_name(tmp_path: Path) -> None:
    path = tmp_path / "tape.csv"
    path.write_text("ts,market,price\n1,MARKET,0.5\n2,MARKET,0.5\n")

    first, second = read(path).ticks

    assert first.market_id is second.market_id


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"cannot read tape .*none\.csv"):
        read(tmp_path / "none.csv")


@pytest.mark.parametrize(
    ("text", "us"),
    [
        ("1790000000", 1_790_000_000_000_000),
        ("1790000000.25", 1_790_000_000_250_000),
        ("2026-09-21T14:13:20Z", 1_790_000_000_000_000),
        ("2026-09-21 14:13:20", 1_790_000_000_000_000),
        ("2026-09-21T16:13:20+02:00", 1_790_000_000_000_000),
    ],
)
def test_an_instant_is_epoch_seconds_or_iso(text: str, us: int) -> None:
    assert instant_us(text) == us


def test_a_venues_tape_becomes_ticks_and_the_ends_of_its_markets(tmp_path: Path) -> None:
    path = tmp_path / "both.tape.gz"
    write_tape(
        path,
        [
            Market(venue="kalshi", market="K", title="K", closes_us=99),
            Market(venue="polymarket", market="P", title="P"),
            Quote(10, "K", 400_000, 420_000, volume=100.0, volume_24h=50.0),
            Quote(20, "P", None, 300_000, last_ppm=290_000),
            Quote(30, "K", 500_000, 520_000),
            Close(40, "K"),
            Settle(50, "K", 0),
        ],
    )

    recording = read(path, 1_000.0)
    ticks = list(recording.ticks)

    assert [(t.ts_event_us, t.market_id, t.price_ppm, t.market_status) for t in ticks] == [
        (10, "K", 410_000, "open"),
        (20, "P", 290_000, "open"),
        (30, "K", 510_000, "open"),
        (40, "K", None, "closed"),
        (50, "K", None, "settled"),
    ]
    assert [t.volume_24h_usd for t in ticks[:3]] == [20.5, 1000.0, 25.5]
    assert (ticks[2].volume_total_contracts, ticks[2].close_ts_us) == (100.0, 99)
    assert recording.assumed == ["volume_24h_usd 1,000 for 1 markets that tell none"]


def test_a_venues_tape_tells_the_categories_of_its_markets_as_live(tmp_path: Path) -> None:
    path = tmp_path / "both.tape"
    write_tape(
        path,
        [
            Market(venue="kalshi", market="RAIN", title="", category="Climate and Weather"),
            Market(venue="kalshi", market="NEW", title="", category="Nobody knows"),
            Market(venue="polymarket", market="CUP", title="", tags=("Featured", "Games", "Pop Culture", "Soccer")),
            Market(venue="polymarket", market="BARE", title=""),
            Quote(10, "RAIN", 400_000, 420_000),
        ],
    )

    assert read(path).categories == {"RAIN": "climate", "NEW": "other", "CUP": "sports", "BARE": "other"}
