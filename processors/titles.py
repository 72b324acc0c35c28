"""What markets are called: the compacted `markets` topic, followed into a small file by a thread of its own.

A file, because a venue has hundreds of thousands of markets and an alert asks for one of them now and then; and because
a start then reads on where the last one ended.
"""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from confluent_kafka import Consumer, KafkaException, Message, TopicPartition

from kernel.clock import Clock, SystemClock
from kernel.kafka.readers import consumer, watermarks
from kernel.logs import get_logger
from kernel.metrics import BAD_INPUT
from kernel.settings import KafkaSettings
from processors.log_watch import look
from schemas.codec import Codec, SchemaStore, UndecodableError
from schemas.events import Market
from schemas.topics import LET_GO_TOLD_DAYS, MARKETS
from schemas.units import US_PER_S
from schemas.words import Category, UnknownCategory

log = get_logger(__name__)

_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.5, 5.0
_VERSION = 3
"""Of the tables; what another version has written is read anew."""
_TABLES = f"""
    PRAGMA journal_mode = WAL;
    PRAGMA synchronous = OFF;
    PRAGMA user_version = {_VERSION};
    CREATE TABLE IF NOT EXISTS titles
        (market_id TEXT PRIMARY KEY, title TEXT, category TEXT, url TEXT, event_key TEXT, event_title TEXT)
        WITHOUT ROWID;
    CREATE TABLE IF NOT EXISTS positions
        (log TEXT, partition INTEGER, next_offset INTEGER, PRIMARY KEY (log, partition));
    CREATE TABLE IF NOT EXISTS followed (one INTEGER PRIMARY KEY CHECK (one = 1), until_us INTEGER);
"""
_AWAY_US = LET_GO_TOLD_DAYS * 86_400 * US_PER_S
_NOTED_EVERY_US = 3_600 * US_PER_S


class Title(NamedTuple):
    """What an alert tells of a market. Empty where unknown."""

    title: str = ""
    category: Category | UnknownCategory = ""
    url: str = ""
    event_key: str = ""
    event_title: str = ""


UNKNOWN = Title()


class TitleFile:
    """Titles by market, and how far the topic has been read, in one file; both change together or not at all.

    May be used from any thread. A file that cannot be read (a power cut in the middle) is made anew.

    Args:
        path: where the file is.
        clock: by which the time between two readers is told.
    """

    def __init__(self, path: Path, clock: Clock | None = None) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._lock = threading.Lock()
        self._clock = clock or SystemClock()
        self._noted_us = -_NOTED_EVERY_US
        try:
            self._file = self._open(path)
        except sqlite3.DatabaseError as error:
            log.error("titles_unreadable", path=str(path), error=str(error), action="read anew")
            for name in (path, *path.parent.glob(f"{path.name}-*")):
                name.unlink(missing_ok=True)
            self._file = self._open(path)

    @staticmethod
    def _open(path: Path) -> sqlite3.Connection:
        file = sqlite3.connect(path, check_same_thread=False)
        if file.execute("PRAGMA user_version").fetchone() != (_VERSION,):
            file.executescript(
                "DROP TABLE IF EXISTS titles; DROP TABLE IF EXISTS positions; DROP TABLE IF EXISTS followed"
            )
        file.executescript(_TABLES)
        return file

    def close(self) -> None:
        """Closes the file."""
        with self._lock:
            self._file.close()

    def lookup(self, market_id: str) -> Title:
        """What is known of a market, or empty texts."""
        sql = "SELECT title, category, url, event_key, event_title FROM titles WHERE market_id = ?"
        with self._lock:
            row = self._file.execute(sql, (market_id,)).fetchone()
        return UNKNOWN if row is None else Title(*row)

    def count(self) -> int:
        """Markets known."""
        with self._lock:
            return int(self._file.execute("SELECT count(*) FROM titles").fetchone()[0])

    def positions(self, log_id: str) -> dict[int, int]:
        """Next offset of each partition of a log. What was read of any other log is forgotten, and all when nobody
        followed for so long that Kafka need not tell any more which markets have left."""
        with self._lock, self._file:
            was_away = "(SELECT max(until_us) FROM followed) <= ?"
            away_us = self._clock.now_us() - _AWAY_US
            gone = f"DELETE FROM positions WHERE log <> ? OR {was_away}"  # noqa: S608  our words
            if self._file.execute(gone, (log_id, away_us)).rowcount:
                self._file.execute("DELETE FROM titles")
            rows = self._file.execute("SELECT partition, next_offset FROM positions").fetchall()
        return dict(rows)

    def take(self, log_id: str, titles: Mapping[str, Title | None], positions: Mapping[int, int]) -> None:
        """Remembers titles (None: the market is gone) and how far their log has been read."""
        with self._lock, self._file:
            known = [(market_id, *title) for market_id, title in titles.items() if title is not None]
            gone = [(market_id,) for market_id, title in titles.items() if title is None]
            self._file.executemany("INSERT OR REPLACE INTO titles VALUES (?, ?, ?, ?, ?, ?)", known)
            self._file.executemany("DELETE FROM titles WHERE market_id = ?", gone)
            read = [(log_id, partition, offset) for partition, offset in positions.items()]
            self._file.executemany("INSERT OR REPLACE INTO positions VALUES (?, ?, ?)", read)
            if self._clock.now_us() - self._noted_us >= _NOTED_EVERY_US:
                self._noted_us = self._clock.now_us()
                self._file.execute("INSERT OR REPLACE INTO followed VALUES (1, ?)", (self._noted_us,))


class Titles:
    """Follows the `markets` topic. `lookup` may be called from any thread.

    Args:
        kafka: where, and how we get in.
        store: the schema registry.
        path: where the file is.
    """

    def __init__(self, kafka: KafkaSettings, store: SchemaStore, path: Path) -> None:
        self._kafka = kafka
        self._codec = Codec(MARKETS, store, Market)
        self._file = TitleFile(path)
        self._caught_up = threading.Event()
        self._stop = threading.Event()
        self._trouble = ""
        self._thread = threading.Thread(target=self._follow_for_ever, name="titles", daemon=True)

    def start(self, timeout_s: float = 30.0) -> None:
        """Starts the thread; returns when it has read all there is now, or when the time is over."""
        started_s = time.monotonic()
        self._thread.start()
        complete = self._caught_up.wait(timeout_s)
        log.info("titles_read", complete=complete, titles=self._file.count(), seconds=time.monotonic() - started_s)

    def stop(self) -> None:
        """Ends the thread."""
        self._stop.set()
        self._thread.join(5)
        self._file.close()

    def lookup(self, market_id: str) -> Title:
        """What is known of a market, or empty texts."""
        return self._file.lookup(market_id)

    def health(self) -> Mapping[str, Any]:
        """Whether the thread follows the topic; alerts go on with the titles known, so it never makes us unhealthy."""
        return {"titles": self._file.count(), "titles_trouble": self._trouble}

    def _follow_for_ever(self) -> None:
        """Follows until told to stop; whatever goes wrong is told once and tried again."""
        pause_s = _FIRST_PAUSE_S
        while not self._stop.is_set():
            try:
                self._follow()
            except Exception as error:
                if not self._trouble:
                    log.warning("titles_interrupted", error=repr(error))
                    pause_s = _FIRST_PAUSE_S
                self._trouble = repr(error)
                self._stop.wait(pause_s)
                pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)

    def _follow(self) -> None:
        log_id = look(self._kafka, MARKETS.name).identity
        reader = consumer(self._kafka, "movers-titles", from_start=True)
        try:
            ends = watermarks(self._kafka, MARKETS.name)
            read = self._file.positions(log_id)
            starts = {p: min(max(read.get(p, 0), low), high) for p, (low, high) in ends.items()}
            reader.assign([TopicPartition(MARKETS.name, p, start) for p, start in starts.items()])
            behind = {p: high for p, (_, high) in ends.items() if high > starts[p]}
            while not self._stop.is_set():
                self._take(log_id, reader.consume(500, timeout=0.5))
                if self._trouble:
                    log.info("titles_followed_again")
                    self._trouble = ""
                if not self._caught_up.is_set() and _is_behind(reader, behind):
                    continue
                self._caught_up.set()
        finally:
            reader.close()

    def _take(self, log_id: str, messages: Sequence[Message]) -> None:
        titles: dict[str, Title | None] = {}
        positions: dict[int, int] = {}
        for message in messages:
            error = message.error()
            if error is None:
                titles |= self._title(message)
                positions[message.partition()] = message.offset() + 1
            elif error.fatal():
                raise KafkaException(error)
            else:
                log.warning("kafka_error", topic=MARKETS.name, code=error.name(), detail=error.str())
        self._file.take(log_id, titles, positions)

    def _title(self, message: Message) -> dict[str, Title | None]:
        """The title in a message; None for a market that was deleted."""
        key, value = message.key() or b"", message.value()
        if value is None:
            return {key.decode(errors="replace"): None}
        try:
            market = self._codec.decode(value)
        except UndecodableError as error:
            # The sink files it; here a title stays empty.
            BAD_INPUT.labels("titles", "undecodable_market").inc()
            log.warning("market_undecodable", key=key, error=str(error))
            return {}
        title = Title(market.title, market.category, market.url, market.event_key, market.event_title)
        return {market.market_id: title}


def _is_behind(reader: Consumer, ends: dict[int, int]) -> bool:
    """Whether a partition has not been read to the end it had at the start; forgets those that have."""
    for position in reader.position([TopicPartition(MARKETS.name, partition) for partition in ends]):
        if position.offset >= ends[position.partition]:
            del ends[position.partition]
    return bool(ends)
