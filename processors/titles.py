"""What markets are called: the compacted `markets` topic, read into memory by a thread of its own."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from typing import Any, NamedTuple

from confluent_kafka import Consumer, KafkaException, Message, TopicPartition

from kernel.kafka import consumer, watermarks
from kernel.logs import get_logger
from kernel.metrics import BAD_INPUT
from schemas.codec import Codec, SchemaStore, UndecodableError
from schemas.events import Market
from schemas.topics import MARKETS
from schemas.words import Category, UnknownCategory

log = get_logger(__name__)


class Title(NamedTuple):
    """What an alert tells of a market. Empty where unknown."""

    title: str = ""
    category: Category | UnknownCategory = ""
    url: str = ""


UNKNOWN = Title()


class Titles:
    """Follows the `markets` topic from its beginning. `lookup` may be called from any thread.

    Args:
        bootstrap: host:port list.
        store: the schema registry.
    """

    def __init__(self, bootstrap: str, store: SchemaStore) -> None:
        self._bootstrap = bootstrap
        self._codec = Codec(MARKETS, store, Market)
        self._titles: dict[str, Title] = {}
        self._caught_up = threading.Event()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._follow, name="titles", daemon=True)

    def start(self, timeout_s: float = 30.0) -> None:
        """Starts the thread; returns when it has read all there is now, or when the time is over."""
        started_s = time.monotonic()
        self._thread.start()
        complete = self._caught_up.wait(timeout_s)
        log.info("titles_read", complete=complete, titles=len(self._titles), seconds=time.monotonic() - started_s)

    def stop(self) -> None:
        """Ends the thread."""
        self._stop.set()
        self._thread.join(5)

    def lookup(self, market_id: str) -> Title:
        """What is known of a market, or empty texts."""
        return self._titles.get(market_id, UNKNOWN)

    def health(self) -> Mapping[str, Any]:
        """ok while the thread follows the topic."""
        return {"ok": self._thread.is_alive(), "titles": len(self._titles)}

    def take(self, message: Message) -> None:
        """Remembers one message of the topic. A market that was deleted is forgotten."""
        key, value = message.key(), message.value()
        if value is None:
            self._titles.pop((key or b"").decode(errors="replace"), None)
            return
        try:
            market = self._codec.decode(value)
        except UndecodableError as error:
            # The sink files it; here a title stays empty.
            BAD_INPUT.labels("alerts", "undecodable_market").inc()
            log.warning("market_undecodable", key=key, error=str(error))
            return
        self._titles[market.market_id] = Title(market.title, market.category, market.url)

    def _follow(self) -> None:
        reader = consumer(self._bootstrap, "movers-titles", from_start=True)
        try:
            ends = {p: high for p, (low, high) in watermarks(self._bootstrap, MARKETS.name).items() if high > low}
            partitions = reader.list_topics(MARKETS.name, timeout=10).topics[MARKETS.name].partitions
            reader.assign([TopicPartition(MARKETS.name, partition, 0) for partition in partitions])
            while not self._stop.is_set():
                for message in reader.consume(500, timeout=0.5):
                    self._take_or_complain(message)
                if not self._caught_up.is_set() and _is_behind(reader, ends):
                    continue
                self._caught_up.set()
        except Exception as error:
            # Alerts go on without new titles; /health tells.
            log.error("titles_stopped", error=repr(error))
        finally:
            reader.close()

    def _take_or_complain(self, message: Message) -> None:
        error = message.error()
        if error is None:
            self.take(message)
        elif error.fatal():
            raise KafkaException(error)
        else:
            log.warning("kafka_error", topic=MARKETS.name, code=error.name(), detail=error.str())


def _is_behind(reader: Consumer, ends: dict[int, int]) -> bool:
    """Whether a partition has not been read to the end it had at the start; forgets those that have."""
    for position in reader.position([TopicPartition(MARKETS.name, partition) for partition in ends]):
        if position.offset >= ends[position.partition]:
            del ends[position.partition]
    return bool(ends)
