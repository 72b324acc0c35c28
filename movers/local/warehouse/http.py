"""ClickHouse's HTTP dialect: what a request asks for, and how results and errors look on the wire.

Source of fact: ClickHouse documentation "HTTP interface", and what clickhouse-connect 1.12 sends (November 2026).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from starlette.requests import Request

from movers.local.warehouse.codec import BadCompressionError, choose_encoding, decode, decode_blocks
from movers.local.warehouse.engine import Command, EngineError, Summary
from movers.local.warehouse.sql import split

MAX_BODY_BYTES = 512 << 20
MAX_SESSION_TIMEOUT_S = 3600.0

# URL arguments that speak to the transport and must not reach the engine as settings.
_TRANSPORT = frozenset(
    {
        *("query", "database", "default_format", "query_id", "quota_key", "user", "password", "role"),
        *("session_id", "session_timeout", "session_check", "close_session"),
        *("compress", "decompress", "enable_http_compression", "buffer_size", "wait_end_of_query", "stacktrace"),
        *("client_protocol_version", "send_progress_in_http_headers", "http_headers_progress_interval_ms"),
        "cancel_http_readonly_queries_on_client_close",
    }
)
# ClickHouse's error number → HTTP status; all others are 500.
_BAD_REQUEST = (
    1, 6, 7, 26, 27, 36, 38, 41, 43, 53, 62, 69, 72, 117, 167, 168, 366, 376, 427, 441, 456, 457, 467, 675, 676,
)  # fmt: skip
_STATUS = dict.fromkeys(_BAD_REQUEST, 400) | {
    **dict.fromkeys((46, 47, 50, 56, 60, 63, 73, 78, 81, 115, 152, 336, 511), 404),
    **dict.fromkeys((192, 193, 497, 516), 403),
    **dict.fromkeys((194,), 401),
    **dict.fromkeys((202, 203, 209, 210, 439), 503),
    **dict.fromkeys((159, 160), 408),
    **dict.fromkeys((89, 372, 373), 500),
    48: 501,
    381: 411,
    1000: 413,
}
BAD_ARGUMENTS, BAD_COMPRESSION, TOO_LARGE, NOT_IMPLEMENTED = 36, 89, 1000, 48


@dataclass(frozen=True, slots=True)
class Answer:
    """How the client wants its answer. encoding: Content-Encoding or None; blocks: ClickHouse's block compression."""

    query_id: str
    encoding: str | None
    blocks: bool


def http_status(code: int) -> int:
    """The HTTP status that goes with ClickHouse's error number."""
    return _STATUS.get(code, 500)


async def read_request(request: Request, query_id: str) -> tuple[Command, Answer]:
    """Reads a query request, whose answer goes by an id. Raises EngineError where it cannot be understood."""
    arguments = dict(request.query_params)
    body = await _body(request)
    if request.headers.get("content-type", "").startswith("multipart/form-data"):
        arguments, body = await _form(request, arguments)
    if body and _is_on(arguments.get("decompress", "0")):
        body = _decoded(lambda: decode_blocks(body))
    command = Command(
        statement=split(arguments.get("query", "").encode(), body),
        default_format=arguments.get("default_format") or request.headers.get("x-clickhouse-format") or "TabSeparated",
        database=arguments.get("database") or request.headers.get("x-clickhouse-database") or "",
        settings={name: value for name, value in arguments.items() if _is_setting(name)},
        params={name.removeprefix("param_"): value for name, value in arguments.items() if name.startswith("param_")},
        session_id=arguments.get("session_id") or None,
        session_timeout_s=_seconds(arguments.get("session_timeout", "60")),
        session_must_exist=_is_on(arguments.get("session_check", "0")),
        read_only=request.method == "GET",
    )
    blocks = _is_on(arguments.get("compress", "0"))
    wants_encoding = not blocks and _is_on(arguments.get("enable_http_compression", "1"))
    answer = Answer(
        query_id=query_id,
        encoding=choose_encoding(request.headers.get("accept-encoding", "")) if wants_encoding else None,
        blocks=blocks,
    )
    return command, answer


def result_headers(answer: Answer, output_format: str, summary: Summary) -> dict[str, str]:
    """Headers of a good answer."""
    numbers = {
        "read_rows": summary.read_rows,
        "read_bytes": summary.read_bytes,
        "written_rows": summary.written_rows,
        "written_bytes": summary.written_bytes,
        "total_rows_to_read": summary.read_rows,
        "result_rows": summary.result_rows or summary.written_rows,
        "result_bytes": summary.result_bytes or summary.written_bytes,
        "elapsed_ns": summary.elapsed_ns,
    }
    headers = {
        **_common_headers(answer.query_id),
        "Content-Type": _content_type(output_format),
        "X-ClickHouse-Format": output_format,
        # ClickHouse writes these numbers as strings, since JavaScript loses digits above 2^53.
        "X-ClickHouse-Summary": json.dumps(
            {name: str(value) for name, value in numbers.items()}, separators=(",", ":")
        ),
    }
    if answer.encoding:
        headers["Content-Encoding"] = answer.encoding
        headers["Vary"] = "Accept-Encoding"
    return headers


def error_headers(query_id: str, code: int) -> dict[str, str]:
    """Headers of an error answer; its body is the text, plain."""
    return {
        **_common_headers(query_id),
        "Content-Type": "text/plain; charset=UTF-8",
        "X-ClickHouse-Exception-Code": str(code),
    }


def late_error(tag: str, error: EngineError) -> bytes:
    """What ends a body whose statement failed after its first bytes were sent (ClickHouse 25.11 and later)."""
    text = f"{error}\n".encode()
    mark = tag.encode()
    return b"\r\n__exception__\r\n%s\r\n%s%d %s\r\n__exception__\r\n" % (mark, text, len(text), mark)


def _common_headers(query_id: str) -> dict[str, str]:
    return {
        "X-ClickHouse-Query-Id": query_id,
        "X-ClickHouse-Timezone": "UTC",
        "X-ClickHouse-Server-Display-Name": "movers-warehouse",
    }


async def _body(request: Request) -> bytes:
    if request.headers.get("content-type", "").startswith("multipart/form-data"):
        return b""
    parts, size = [], 0
    async for part in request.stream():
        parts.append(part)
        size += len(part)
        if size > MAX_BODY_BYTES:
            raise EngineError.of(TOO_LARGE, "HTTP_BODY_TOO_LARGE", f"Request body is over {MAX_BODY_BYTES >> 20} MiB")
    body = b"".join(parts)
    encoding = request.headers.get("content-encoding", "")
    return _decoded(lambda: decode(body, encoding)) if body else body


async def _form(request: Request, arguments: Mapping[str, str]) -> tuple[dict[str, str], bytes]:
    """A form carries the same arguments as the URL, for those too long for one."""
    merged = dict(arguments)
    async with request.form(max_part_size=MAX_BODY_BYTES) as form:
        for name, value in form.multi_items():
            if not isinstance(value, str):
                detail = (
                    f"External table '{name}': this warehouse has no external tables; insert into a temporary table"
                )
                raise EngineError.of(NOT_IMPLEMENTED, "NOT_IMPLEMENTED", detail)
            merged[name] = value
    return merged, b""


def _decoded(work: Callable[[], bytes]) -> bytes:
    try:
        return work()
    except BadCompressionError as error:
        raise EngineError.of(BAD_COMPRESSION, "CANNOT_DECOMPRESS", str(error)) from None


def _is_setting(name: str) -> bool:
    return name not in _TRANSPORT and not name.startswith("param_")


def _is_on(value: str) -> bool:
    return value.strip().lower() in ("1", "true", "yes", "on")


def _seconds(text: str) -> float:
    try:
        return min(max(float(text), 1.0), MAX_SESSION_TIMEOUT_S)
    except ValueError:
        raise EngineError.of(BAD_ARGUMENTS, "BAD_ARGUMENTS", f"Invalid session timeout: '{text}'") from None


def _content_type(output_format: str) -> str:
    name = output_format.upper()
    if name.startswith("JSON"):
        is_lines = name.endswith("EACHROW") or "EACHROW" in name
        return "application/x-ndjson; charset=UTF-8" if is_lines else "application/json; charset=UTF-8"
    if name.startswith("CSV"):
        header = "; header=present" if "WITHNAMES" in name else "; header=absent"
        return f"text/csv; charset=UTF-8{header}"
    if name.startswith(("TABSEPARATED", "TSV")):
        return "text/tab-separated-values; charset=UTF-8"
    if name.startswith(("NATIVE", "ROWBINARY", "PARQUET", "ARROW", "ORC", "AVRO", "MSGPACK")):
        return "application/octet-stream"
    return "text/plain; charset=UTF-8"
