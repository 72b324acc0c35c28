"""The ClickHouse engine (chDB) inside this process: sessions, settings, streaming results, inserts.

One engine per process and data folder; each request gets a connection of its own, so that reads and writes run side by
side, and settings never leak from one request to the next. A session keeps its connection. A read leaves its connection
to the next one of the same settings and database: to open one and tell it both is half of what a small question costs.
"""

from __future__ import annotations

import os
import re
import sys
import tempfile
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from io import RawIOBase
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kernel.errors import UserError
from movers.local.folders import FolderLock, prepare_folder
from movers.local.warehouse.sql import Statement

if TYPE_CHECKING:
    from chdb.state.sqlitelike import Connection

DATABASE = "movers"
HEAD_BYTES = 1 << 20
"""Results up to this size are complete before the answer starts, so their errors come with a status."""

# Formats whose blocks can be sent one after another; the others have a head or a foot and are built whole.
_STREAMABLE = frozenset(
    {"NATIVE", "ROWBINARY", "TABSEPARATED", "TSV", "TABSEPARATEDRAW", "TSVRAW", "CSV", "JSONEACHROW"}
)
_READS = ("SELECT", "WITH")
_IDLE_CONNECTIONS = 16
_SETTING_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.]*")
_CODE = re.compile(r"Code: (\d+)\. DB::Exception: ")
_VERSION = re.compile(r" \(version [^()]*(?:\([^()]*\))?\)")

SYNTAX_ERROR, READONLY, NOT_FOUND_SESSION, LOCKED_SESSION = 62, 164, 372, 373
UNKNOWN_SETTING, OUTFILE_NOT_ALLOWED, STD_EXCEPTION = 115, 183, 1001


class EngineError(Exception):
    """A refused or failed statement. `code` is ClickHouse's error number; the text is `Code: N. DB::Exception: …`."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code

    @classmethod
    def of(cls, code: int, name: str, detail: str) -> EngineError:
        """An error of our own in ClickHouse's words."""
        return cls(code, f"Code: {code}. DB::Exception: {detail}. ({name})")

    @classmethod
    def from_engine(cls, error: BaseException, version: str) -> EngineError:
        """What the engine raised, with the prefixes and repetitions of its wrappers taken off."""
        text = str(error)
        found = _CODE.search(text)
        if found is None:
            return cls.of(STD_EXCEPTION, "STD_EXCEPTION", text.rstrip("."))._with_version(version)
        text = _VERSION.sub("", text[found.start() :]).rstrip()
        while text.startswith(found[0] * 2):
            text = text.removeprefix(found[0])
        text = re.sub(r"(\([A-Z][A-Z0-9_]+\))(?:\. \1)+$", r"\1", text)
        return cls(int(found[1]), text)._with_version(version)

    def _with_version(self, version: str) -> EngineError:
        return EngineError(self.code, f"{self} (version {version})")


@dataclass(slots=True)
class Summary:
    """What a statement read and wrote; counts as in ClickHouse's X-ClickHouse-Summary."""

    read_rows: int = 0
    read_bytes: int = 0
    written_rows: int = 0
    written_bytes: int = 0
    result_rows: int = 0
    result_bytes: int = 0
    elapsed_ns: int = 0


@dataclass(slots=True)
class Command:
    """One request to the engine, free of HTTP.

    settings: name → value as text. params: name → value in ClickHouse's escaped text form. read_only: refuse
    anything that changes data or definitions.
    """

    statement: Statement
    default_format: str
    database: str
    settings: Mapping[str, str] = field(default_factory=dict)
    params: Mapping[str, str] = field(default_factory=dict)
    session_id: str | None = None
    session_timeout_s: float = 60.0
    session_must_exist: bool = False
    read_only: bool = False


class Rest:
    """The blocks of a long result that did not fit the head. Take them all or call `close`; one thread at a time."""

    def __init__(self, stream: Any, version: str) -> None:
        self._stream = stream
        self._version = version
        self.finish: Callable[[], None] | None = None

    def next_block(self) -> bytes | None:
        """The next bytes, None at the end. Raises EngineError when the statement fails on the way."""
        try:
            chunk = next(self._stream, None)
        except RuntimeError as error:
            self.close()
            raise EngineError.from_engine(error, self._version) from None
        if chunk is None:
            self.close()
            return None
        block: bytes = chunk.bytes()
        return block

    def close(self) -> None:
        """Stops the statement and gives its connection back. May be called twice."""
        self._stream.close()
        finish, self.finish = self.finish, None
        if finish is not None:
            finish()


@dataclass(slots=True)
class Result:
    """Answer of a statement: `head` is all of it unless `rest` follows."""

    format: str
    head: bytes
    summary: Summary
    rest: Rest | None = None


_Kind = tuple[str, frozenset[tuple[str, str]]]
"""What a connection is set to: its database and settings."""


class _Session:
    """A connection with state. `overlay` holds the base values of settings that requests brought in their URLs."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.lock = threading.Lock()
        self.base: dict[str, str] = {}
        self.applied: dict[str, str] = {}
        self.database = DATABASE
        self.active_database = ""
        self.expires_at_s = 0.0


class Engine:
    """The engine on one data folder. Thread-safe. Never fork after it is open."""

    def __init__(self, folder: Path, memory_mib: int = 1024) -> None:
        prepare_folder(folder, "warehouse")
        if "?" in str(folder):
            raise UserError(f"data folder {folder} (warehouse) must not have a '?' in its name")
        self._lock = FolderLock(folder, "warehouse")
        # The engine takes its time zone from the process; ours is UTC on every machine.
        os.putenv("TZ", "UTC")
        time.tzset()
        from chdb.state.sqlitelike import Connection  # 0.8 s and 250 MB: only after everything cheap was checked

        self._connect = Connection
        arguments = {
            "max_server_memory_usage": memory_mib << 20,
            "mark_cache_size": 64 << 20,
            "primary_index_cache_size": 64 << 20,
            "index_mark_cache_size": 16 << 20,
            "query_condition_cache_size": 16 << 20,
            "async_insert": 0,
            "implicit_select": 0,  # on in clickhouse-local, off in a server
        }
        self._address = f"{folder.resolve()}?" + "&".join(f"{name}={value}" for name, value in arguments.items())
        try:
            self._keeper = self._connect(self._address)
            self._keeper.query(f"CREATE DATABASE IF NOT EXISTS {DATABASE} ENGINE = Atomic", "Null")
            self.version: str = self._keeper.query("SELECT version()", "TabSeparated").bytes().decode().strip()
        except RuntimeError as error:
            self._lock.release()
            first_line = str(error).splitlines()[0]
            raise UserError(f"data folder {folder} (warehouse) cannot be opened: {first_line}") from None
        self._sessions: dict[str, _Session] = {}
        self._sessions_lock = threading.Lock()
        self._idle: deque[tuple[_Kind, Connection]] = deque()
        self._idle_lock = threading.Lock()

    def execute(self, command: Command) -> Result:
        """Runs one statement to its end, or to the first HEAD_BYTES of its result.

        Raises EngineError. Blocks; call it from a worker thread.
        """
        if command.statement.touches_files:
            raise EngineError.of(
                OUTFILE_NOT_ALLOWED, "INTO_OUTFILE_NOT_ALLOWED", "Files of the server are not reachable"
            )
        try:
            if command.session_id is None:
                return self._execute_alone(command)
            return self._execute_in_session(command, command.session_id)
        except RuntimeError as error:
            raise EngineError.from_engine(error, self.version) from None

    def close(self) -> None:
        """Stops running statements, closes every connection and frees the folder."""
        self._keeper.query("KILL QUERY WHERE 1 ASYNC", "Null")
        with self._sessions_lock:
            for session in self._sessions.values():
                if session.lock.acquire(timeout=2.0):
                    session.connection.close()
            self._sessions.clear()
        with self._idle_lock:
            for _, connection in self._idle:
                connection.close()
            self._idle.clear()
        self._keeper.close()
        self._lock.release()

    def _execute_alone(self, command: Command) -> Result:
        is_read = command.statement.first_word in _READS
        kind = (command.database or DATABASE, frozenset(command.settings.items()))
        connection = self._take_idle(kind) if is_read else None
        if connection is None:
            connection = self._open(command)
        try:
            result = self._run(connection, command)
        except BaseException:
            connection.close()
            raise
        if is_read and result.rest is None:
            self._keep_idle(kind, connection)
            return result
        return _finishing(result, connection.close)

    def _open(self, command: Command) -> Connection:
        connection = self._connect(self._address)
        try:
            if command.settings:
                connection.query(_set(command.settings), "Null")
            connection.query(f"USE {_quoted_name(command.database or DATABASE)}", "Null")
        except BaseException:
            connection.close()
            raise
        return connection

    def _take_idle(self, kind: _Kind) -> Connection | None:
        with self._idle_lock:
            for idle in reversed(self._idle):
                if idle[0] == kind:
                    self._idle.remove(idle)
                    return idle[1]
        return None

    def _keep_idle(self, kind: _Kind, connection: Connection) -> None:
        """Keeps what has answered a read whole, which leaves a connection as it was. The one idle longest goes."""
        with self._idle_lock:
            self._idle.append((kind, connection))
            oldest = self._idle.popleft()[1] if len(self._idle) > _IDLE_CONNECTIONS else None
        if oldest is not None:
            oldest.close()

    def _execute_in_session(self, command: Command, session_id: str) -> Result:
        session = self._session(command, session_id)
        try:
            stateful = command.statement.first_word in ("SET", "USE")
            self._overlay(session, command, {} if stateful else command.settings)
            result = self._run(session.connection, command)
            if stateful:
                current = session.connection.query("SELECT currentDatabase()", "TabSeparatedRaw")
                session.active_database = current.bytes().decode().removesuffix("\n")
                if command.statement.first_word == "USE":
                    session.database = session.active_database
        except BaseException:
            session.lock.release()
            raise
        return _finishing(result, session.lock.release)

    def _session(self, command: Command, session_id: str) -> _Session:
        """The session's connection, locked for this request. Expired ones are dropped on the way."""
        now_s = time.monotonic()
        with self._sessions_lock:
            for name in [name for name, session in self._sessions.items() if session.expires_at_s < now_s]:
                expired = self._sessions[name]
                if expired.lock.acquire(blocking=False):
                    del self._sessions[name]
                    expired.connection.close()
            session = self._sessions.get(session_id)
            if session is None:
                if command.session_must_exist:
                    raise EngineError.of(NOT_FOUND_SESSION, "SESSION_NOT_FOUND", f"Session {session_id} not found")
                session = self._sessions[session_id] = _Session(self._connect(self._address))
            if not session.lock.acquire(blocking=False):
                raise EngineError.of(
                    LOCKED_SESSION, "SESSION_IS_LOCKED", f"Session {session_id} is locked by a concurrent client"
                )
            session.expires_at_s = now_s + command.session_timeout_s
            return session

    def _overlay(self, session: _Session, command: Command, wanted: Mapping[str, str]) -> None:
        """Makes the session's settings and database those of this request; what is no longer asked for goes back."""
        changes = {name: session.base.pop(name) for name in list(session.base) if name not in wanted}
        for name in changes:
            del session.applied[name]
        for name, value in wanted.items():
            if session.applied.get(name) == value:
                continue
            if name not in session.base:
                known = session.connection.query(f"SELECT toString(getSetting({_quoted(name)}))", "TabSeparatedRaw")
                session.base[name] = known.bytes().decode().removesuffix("\n")
            changes[name] = value
        if changes:
            session.connection.query(_set(changes), "Null")
        session.applied.update({name: value for name, value in changes.items() if name in wanted})
        database = command.database or session.database
        if database != session.active_database:
            session.connection.query(f"USE {_quoted_name(database)}", "Null")
            session.active_database = database

    def _run(self, connection: Connection, command: Command) -> Result:
        started_ns = time.perf_counter_ns()
        if command.statement.insert_format is not None:
            result = self._insert(connection, command, command.statement.insert_format)
        else:
            self._check_statement(connection, command)
            result = self._query(connection, command)
        result.summary.elapsed_ns = time.perf_counter_ns() - started_ns
        return result

    def _check_statement(self, connection: Connection, command: Command) -> None:
        facts = connection._conn.classify_query(command.statement.sql.decode(errors="replace"))
        if not command.statement.first_word and facts["statement_count"] == 0:
            raise EngineError.of(
                SYNTAX_ERROR, "SYNTAX_ERROR", "Syntax error: failed at position 1 (end of query): Empty query"
            )
        if facts["statement_count"] > 1:
            raise EngineError.of(SYNTAX_ERROR, "SYNTAX_ERROR", "Syntax error: Multi-statements are not allowed")
        harmless = facts["query_class"].name in ("READ_ONLY", "UNKNOWN") or command.statement.first_word in (
            "SET",
            "USE",
        )
        if command.read_only and not harmless:
            detail = (
                "Cannot execute query in readonly mode. For queries over HTTP, method GET implies readonly. "
                "You should use method POST for modifying queries"
            )
            raise EngineError.of(READONLY, "READONLY", detail)

    def _query(self, connection: Connection, command: Command) -> Result:
        output_format = command.statement.output_format or command.default_format
        params = dict(command.params)
        can_stream = command.statement.first_word in _READS and output_format.upper() in _STREAMABLE
        if not can_stream:
            answer = connection.query(command.statement.sql, output_format, params)
            return Result(output_format, answer.bytes(), _summary(answer))
        stream = connection.send_query(command.statement.sql, output_format, params)
        summary, head, size = Summary(), [], 0
        try:
            for chunk in stream:
                _count(summary, chunk)
                head.append(chunk.bytes())
                size += len(head[-1])
                if size >= HEAD_BYTES:
                    return Result(output_format, b"".join(head), summary, Rest(stream, self.version))
        except BaseException:
            stream.close()
            raise
        return Result(output_format, b"".join(head), summary)

    def _insert(self, connection: Connection, command: Command, input_format: str) -> Result:
        if command.read_only:
            raise EngineError.of(READONLY, "READONLY", "Cannot execute query in readonly mode")
        # As a file, for both other ways lose rows (chdb-core 26.9.0, tests/…/warehouse/test_library_faults.py): with
        # `send_insert` nothing tells what fails behind the parser; data in the statement's text ends at an empty line.
        with _as_file(command.statement.data) as path:
            sql = command.statement.insert_from_file(path)
            answer = connection.query(sql, "Null", dict(command.params))
        written = Summary(written_rows=answer.rows_written(), written_bytes=answer.bytes_written())
        return Result(input_format, b"", written)


@contextmanager
def _as_file(data: bytes) -> Iterator[str]:
    """Path under which this process reads `data`; in memory where the system can."""
    if sys.platform == "linux":
        with os.fdopen(os.memfd_create("insert"), "wb", buffering=0) as file:
            _write_all(file, data)
            yield f"/proc/self/fd/{file.fileno()}"
    else:
        with tempfile.NamedTemporaryFile("wb", prefix="movers-insert-") as file:
            file.write(data)
            file.flush()
            yield file.name


def _write_all(file: RawIOBase, data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[file.write(rest) :]


def _finishing(result: Result, finish: Callable[[], None]) -> Result:
    """Calls `finish` when the last byte of the result was taken, or the taker gave up."""
    if result.rest is None:
        finish()
    else:
        result.rest.finish = finish
    return result


def _count(summary: Summary, chunk: Any) -> None:
    summary.result_rows += chunk.rows_read()
    summary.result_bytes += chunk.bytes_read()
    # Reads are counted from the start of the statement, results per block.
    summary.read_rows = chunk.storage_rows_read()
    summary.read_bytes = chunk.storage_bytes_read()


def _summary(answer: Any) -> Summary:
    summary = Summary(written_rows=answer.rows_written(), written_bytes=answer.bytes_written())
    _count(summary, answer)
    return summary


def _set(settings: Mapping[str, str]) -> str:
    for name in settings:
        if not _SETTING_NAME.fullmatch(name):
            raise EngineError.of(UNKNOWN_SETTING, "UNKNOWN_SETTING", f"Unknown setting '{name}'")
    return "SET " + ", ".join(f"{name} = {_quoted(value)}" for name, value in settings.items())


def _quoted(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def _quoted_name(name: str) -> str:
    return "`" + name.replace("\\", "\\\\").replace("`", "\\`") + "`"
