"""ClickHouse's HTTP dialect, spoken the way curl does."""

from __future__ import annotations

import gzip
import json
import time
from collections.abc import Iterator

import httpx
import pytest

from movers.local.warehouse.codec import BlockEncoder, decode_blocks
from tests.stack.processes import ServiceProcess
from tests.stack.waiting import wait_until

pytestmark = pytest.mark.stack


@pytest.fixture
def http(warehouse: ServiceProcess) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=warehouse.url, timeout=60) as client:
        yield client


@pytest.fixture
def table(http: httpx.Client) -> Iterator[str]:
    http.post("/", content="CREATE TABLE plain (a UInt64, b String) ENGINE = MergeTree ORDER BY a").raise_for_status()
    yield "plain"
    http.post("/", content="DROP TABLE plain SYNC").raise_for_status()


@pytest.mark.parametrize("path", ["/", "/ping", "/replicas_status"])
def test_health_addresses_answer_ok(http: httpx.Client, path: str) -> None:
    assert http.get(path).text == "Ok.\n"
    assert http.head(path).status_code == 200


def test_a_query_in_the_url_or_the_body_or_both(http: httpx.Client) -> None:
    assert http.get("/?query=SELECT+1").text == "1\n"
    assert http.post("/", content="SELECT 1").text == "1\n"
    assert http.post("/?query=SELECT+1", content="+ 1").text == "2\n"


def test_the_answer_names_format_query_zone_and_summary(http: httpx.Client) -> None:
    answer = http.get("/", params={"query": "SELECT number FROM numbers(3) FORMAT JSONEachRow", "query_id": "mine"})

    assert answer.headers["X-ClickHouse-Format"] == "JSONEachRow"
    assert answer.headers["X-ClickHouse-Query-Id"] == "mine"
    assert answer.headers["X-ClickHouse-Timezone"] == "UTC"
    assert json.loads(answer.headers["X-ClickHouse-Summary"])["result_rows"] == "3"


def test_the_format_comes_from_the_statement_then_the_url_then_is_tab_separated(http: httpx.Client) -> None:
    assert http.get("/?query=SELECT+1+AS+a&default_format=JSONEachRow").text == '{"a":1}\n'
    assert http.get("/?query=SELECT+1+AS+a+FORMAT+CSV&default_format=JSONEachRow").text == "1\n"
    assert http.get("/?query=SELECT+1,2").text == "1\t2\n"


@pytest.mark.parametrize(
    ("fmt", "data"),
    [
        ("JSONEachRow", b'{"a":1,"b":"x"}\n{"a":2,"b":"y"}'),
        ("CSV", b'1,"x"\n2,y\n'),
        ("TabSeparated", b"1\tx\n2\ty\n"),
        ("Values", b"(1,'x'),(2,'y')"),
        ("RowBinary", b"\x01\0\0\0\0\0\0\0\x01x\x02\0\0\0\0\0\0\0\x01y"),
    ],
)
def test_insert_with_the_statement_in_the_url_or_before_the_data(
    http: httpx.Client, table: str, fmt: str, data: bytes
) -> None:
    statement = f"INSERT INTO {table} (a, b) FORMAT {fmt}"

    in_url = http.post("/", params={"query": statement}, content=data)
    in_body = http.post("/", content=statement.encode() + b"\n" + data)

    assert json.loads(in_url.raise_for_status().headers["X-ClickHouse-Summary"])["written_rows"] == "2"
    in_body.raise_for_status()
    assert http.get(f"/?query=SELECT+a,b,count()+FROM+{table}+GROUP+BY+ALL+ORDER+BY+a").text == "1\tx\t2\n2\ty\t2\n"


def test_parquet_goes_in_and_out(http: httpx.Client, table: str) -> None:
    parquet = http.post("/", content="SELECT toUInt64(number) AS a, 'p' AS b FROM numbers(10) FORMAT Parquet").content

    http.post("/", params={"query": f"INSERT INTO {table} FORMAT Parquet"}, content=parquet).raise_for_status()

    assert http.get(f"/?query=SELECT+sum(a)+FROM+{table}").text == "45\n"


def test_insert_values_and_insert_select_are_plain_statements(http: httpx.Client, table: str) -> None:
    http.post("/", content=f"INSERT INTO {table} VALUES (1, 'FORMAT CSV')").raise_for_status()
    http.post("/", content=f"INSERT INTO {table} SELECT 2, 'b'").raise_for_status()

    assert http.get(f"/?query=SELECT+*+FROM+{table}+ORDER+BY+a").text == "1\tFORMAT CSV\n2\tb\n"


def test_a_bad_row_is_an_error_and_inserts_nothing(http: httpx.Client, table: str) -> None:
    answer = http.post("/", params={"query": f"INSERT INTO {table} FORMAT CSV"}, content=b"1,x\nnot a number,y\n")

    assert answer.status_code == 400
    assert answer.headers["X-ClickHouse-Exception-Code"] == "27"
    assert http.get(f"/?query=SELECT+count()+FROM+{table}").text == "0\n"


@pytest.mark.parametrize(
    ("sql", "status", "code"),
    [
        ("SELECT * FROM absent", 404, "60"),
        ("SELEC", 400, "62"),
        ("SELECT throwIf(1)", 500, "395"),
        ("", 400, "62"),
    ],
)
def test_errors_have_status_code_and_text(http: httpx.Client, sql: str, status: int, code: str) -> None:
    answer = http.post("/", content=sql)

    assert answer.status_code == status
    assert answer.headers["X-ClickHouse-Exception-Code"] == code
    assert answer.text.startswith(f"Code: {code}. DB::Exception: ")


def test_get_changes_nothing(http: httpx.Client, table: str) -> None:
    for sql in (f"DROP TABLE {table}", f"INSERT INTO {table} VALUES (1, 'x')", f"INSERT INTO {table} FORMAT CSV 1,x"):
        answer = http.get("/", params={"query": sql})
        assert answer.headers["X-ClickHouse-Exception-Code"] == "164"
    assert http.get(f"/?query=SELECT+count()+FROM+{table}").text == "0\n"


def test_settings_and_parameters_come_in_the_url_or_in_a_form(http: httpx.Client) -> None:
    sql = "SELECT {v:String}, getSetting('max_block_size')"
    arguments = {"query": sql, "param_v": "it's", "max_block_size": "77"}

    assert http.get("/", params=arguments).text == "it\\'s\t77\n"
    files = {name: (None, value) for name, value in arguments.items()}
    assert http.post("/", files=files).text == "it\\'s\t77\n"


def test_what_one_request_sets_is_not_found_by_the_next(http: httpx.Client) -> None:
    def block_size(**arguments: str) -> str:
        return http.post("/", content="SELECT getSetting('max_block_size')", params=arguments).text.strip()

    usual = block_size()

    assert block_size(max_block_size="1234") == "1234"
    assert block_size() == usual
    http.post("/", content="SELECT 1 SETTINGS max_block_size = 99").raise_for_status()
    assert block_size() == usual
    http.post("/", content="SET max_block_size = 99").raise_for_status()
    assert block_size() == usual
    assert http.post("/", content="SELECT throwIf(1) SETTINGS max_block_size = 99").status_code == 500
    assert block_size() == usual
    http.post("/", content="USE system").raise_for_status()
    assert http.post("/", content="SELECT currentDatabase()").text == "movers\n"
    assert http.post("/", content="SELECT {a:String}", params={"param_a": "x"}).text == "x\n"
    assert "UNKNOWN_QUERY_PARAMETER" in http.post("/", content="SELECT {a:String}").text


def test_a_database_that_is_gone_is_an_error_and_made_again_is_the_new_one(http: httpx.Client) -> None:
    def send(sql: str, database: str = "brief") -> httpx.Response:
        return http.post("/", content=sql, params={"database": database})

    read = "SELECT a FROM t"
    for number in (1, 2):
        send("CREATE DATABASE brief", "default")
        send(f"CREATE TABLE t (a UInt8) ENGINE = MergeTree ORDER BY a AS SELECT {number}").raise_for_status()

        assert send(read).text == f"{number}\n"

        send("DROP DATABASE brief SYNC", "default")
        gone = send(read)
        assert (gone.status_code, gone.headers["X-ClickHouse-Exception-Code"]) == (404, "81")


def test_external_tables_are_refused_with_a_reason(http: httpx.Client) -> None:
    answer = http.post("/?query=SELECT+1&ext_structure=a+UInt8", files={"ext": ("ext.tsv", b"1\n")})

    assert answer.status_code == 501
    assert "external tables" in answer.text


def test_one_session_runs_one_statement_at_a_time(http: httpx.Client, warehouse: ServiceProcess) -> None:
    slow = {"query": "SELECT number FROM numbers(100000000000)", "session_id": "busy"}
    with http.stream("GET", "/", params=slow) as answer:
        pieces = answer.iter_raw()  # the connection closes with it
        next(pieces)
        with httpx.Client(base_url=warehouse.url, timeout=60) as other:
            refused = other.get("/", params={"query": "SELECT 1", "session_id": "busy"})
    assert refused.headers["X-ClickHouse-Exception-Code"] == "373"
    again = {"query": "SELECT 1", "session_id": "busy"}
    wait_until(lambda: http.get("/", params=again).status_code == 200, "the session is free after its client left")


def test_a_missing_session_is_an_error_when_the_client_says_it_must_exist(http: httpx.Client) -> None:
    answer = http.get("/?query=SELECT+1&session_id=never&session_check=1")

    assert answer.headers["X-ClickHouse-Exception-Code"] == "372"


def test_a_client_that_leaves_stops_its_statement(http: httpx.Client) -> None:
    with http.stream("GET", "/", params={"query": "SELECT number AS left_early FROM numbers(100000000000)"}) as answer:
        next(answer.iter_raw())

    running = "SELECT count() FROM system.processes WHERE query LIKE '%left\\_early%' AND query NOT LIKE '%processes%'"
    wait_until(lambda: http.post("/", content=running).text == "0\n", "the statement has stopped")


def test_bodies_are_compressed_as_http_says(http: httpx.Client, table: str) -> None:
    headers = {"Content-Encoding": "gzip"}
    insert = {"query": f"INSERT INTO {table} FORMAT CSV"}
    http.post("/", params=insert, content=gzip.compress(b"1,x\n"), headers=headers).raise_for_status()

    answer = http.get(f"/?query=SELECT+*+FROM+{table}", headers={"Accept-Encoding": "gzip"})
    plain = http.get(f"/?query=SELECT+*+FROM+{table}&enable_http_compression=0", headers={"Accept-Encoding": "gzip"})

    assert answer.headers["Content-Encoding"] == "gzip"
    assert "Content-Encoding" not in plain.headers
    assert answer.text == plain.text == "1\tx\n"


def test_clickhouses_own_block_compression_works_both_ways(http: httpx.Client, table: str) -> None:
    data = b"".join(b"%d,row %d\n" % (n, n) for n in range(100_000))
    insert = {"query": f"INSERT INTO {table} FORMAT CSV", "decompress": "1"}
    http.post("/", params=insert, content=BlockEncoder().compress(data)).raise_for_status()

    packed = http.get(f"/?query=SELECT+a,b+FROM+{table}+ORDER+BY+a+FORMAT+TSV&compress=1").content

    assert decode_blocks(packed) == b"".join(b"%d\trow %d\n" % (n, n) for n in range(100_000))


@pytest.mark.parametrize("body", [b"not blocks at all, not at all", b"\0" * 16 + b"\x82\x0a\0\0\0\x01\0\0\0x"])
def test_damaged_blocks_are_refused(http: httpx.Client, table: str, body: bytes) -> None:
    answer = http.post("/", params={"query": f"INSERT INTO {table} FORMAT CSV", "decompress": "1"}, content=body)

    assert answer.status_code == 500
    assert answer.headers["X-ClickHouse-Exception-Code"] == "89"


@pytest.mark.parametrize(
    "headers", [{"Origin": "https://example.org"}, {"Host": "example.org"}, {"Origin": "null"}], ids=str
)
def test_a_foreign_web_page_gets_nothing(http: httpx.Client, headers: dict[str, str]) -> None:
    assert http.post("/", content="SELECT 1", headers=headers).status_code == 403


def test_small_answers_come_at_once(http: httpx.Client) -> None:
    """Head and body as two packets on a connection without TCP_NODELAY cost 40 ms each time."""
    http.get("/?query=SELECT+1")

    def one_s() -> float:
        started_s = time.perf_counter()
        http.get("/?query=SELECT+1")
        return time.perf_counter() - started_s

    wait_until(lambda: one_s() < 0.03, "an answer that waited for nothing: on a busy machine not each does")


@pytest.mark.parametrize(
    ("definition", "settings", "code"),
    [
        ("(a UInt64, CONSTRAINT small CHECK a < 5) ENGINE = MergeTree ORDER BY a", {}, "469"),
        ("(a UInt64) ENGINE = MergeTree PARTITION BY a ORDER BY a", {"max_partitions_per_insert_block": "3"}, "252"),
        (
            "(a UInt64) ENGINE = MergeTree ORDER BY a",
            {"max_memory_usage": "3000000", "max_untracked_memory": "1"},
            "241",
        ),
    ],
    ids=["constraint", "too many partitions", "memory limit"],
)
def test_an_insert_that_fails_behind_the_parser_is_an_error_and_stores_nothing(
    http: httpx.Client, definition: str, settings: dict[str, str], code: str
) -> None:
    http.post("/", content=f"CREATE TABLE strict {definition}").raise_for_status()
    try:
        statement = {"query": "INSERT INTO strict FORMAT TSV", **settings}
        answer = http.post("/", params=statement, content=b"".join(b"%d\n" % n for n in range(50_000)))

        assert answer.status_code != 200
        assert answer.headers["X-ClickHouse-Exception-Code"] == code
        assert http.get("/?query=SELECT+count()+FROM+strict").text == "0\n"
    finally:
        http.post("/", content="DROP TABLE strict SYNC").raise_for_status()


@pytest.mark.parametrize("data", [b"\n\n", b"a\n\nDROP TABLE plain", b"\n\n\n; SELECT 1", bytes(range(256)) * 3])
def test_every_byte_of_the_data_is_data(http: httpx.Client, data: bytes) -> None:
    http.post("/", content="CREATE TABLE blob (a String) ENGINE = Memory").raise_for_status()
    try:
        for settings in ("", "SETTINGS max_threads = 1 "):
            sql = f"INSERT INTO blob (a) {settings}FORMAT RawBLOB"
            http.post("/", params={"query": sql}, content=data).raise_for_status()

        kept = http.get("/?query=SELECT+hex(a)+FROM+blob").text.split()
        assert kept == [data.hex().upper()] * 2
    finally:
        http.post("/", content="DROP TABLE blob").raise_for_status()
