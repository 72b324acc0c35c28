"""Whether a client reaches Kafka: told once a change, by its own statistics, not once a try by its complaints."""

from __future__ import annotations

import logging
import re
from typing import Any

import orjson
from confluent_kafka import KafkaError

from kernel.metrics import BACKLOG
from kernel.process import Process

_LOST_LINK = frozenset(
    {KafkaError._ALL_BROKERS_DOWN, KafkaError._TRANSPORT, KafkaError._RESOLVE, KafkaError._TIMED_OUT}
)
_NOT_LET_IN = frozenset({KafkaError._AUTHENTICATION, KafkaError._SSL, KafkaError.SASL_AUTHENTICATION_FAILED})
_LINK_LINE = re.compile(
    r"^(FAIL|FATAL|ERROR|REQTMOUT|SESSTMOUT|FETCHERR|GETPID|COORD|METADATAUPDATE) \[|brokers are down"
    r"|^Kafka (consumer|producer) error: "
)


def about_the_link(error: KafkaError) -> bool:
    """Whether an error says only that Kafka cannot be reached now: `LinkWatch` tells that, once."""
    return error.code() in _LOST_LINK or refuses_us(error)


def refuses_us(error: KafkaError) -> bool:
    """Whether an error says that Kafka is there and refuses us: a login, a certificate."""
    return error.code() in _NOT_LET_IN


def plain_reason(error: KafkaError) -> str:
    """The part of librdkafka's sentence that a person can act on, without threads, addresses and source lines."""
    text = " ".join(str(error.str()).split())
    text = re.sub(r"^\[thrd:[^\]]*\]: ", "", text)
    text = re.sub(r"^\S+/(bootstrap|\d+|\w+): ", "", text)
    return re.sub(r" ?\(after \d+ms in state \w+(, \d+ identical error\(s\) suppressed)?\)", "", text)


class LinkSilence(logging.Filter):
    """Keeps what client libraries say about lost connections, and of clients that are broken for good, once a try and
    client, out of all but a debug log: who holds the client hears it too, and tells it once."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the line is to be shown."""
        return logging.getLogger().isEnabledFor(logging.DEBUG) or not _LINK_LINE.search(record.getMessage())


class LinkWatch:
    """Tells a process whether a client of its reaches Kafka, from the client's own statistics.

    librdkafka's own errors do not do: it reports that all brokers are down once for each try, and never that one is
    back. Broker states are those of librdkafka's STATISTICS.md; a client without any broker `UP` for `PATIENCE`
    reports in a row (one a second) reaches none, and is back after `STEADY` reports with one: a broker that is starting
    takes a connection and drops it again. Statistics arrive when the client is polled.
    """

    INTERVAL_MS = 1000
    PATIENCE = 3
    STEADY = 2

    def __init__(self, process: Process, client_id: str, where: str, *, can_work: bool = False) -> None:
        self._process = process
        self._client_id = client_id
        self._where = where
        self._can_work = can_work
        self._without = 0
        self._with = 0
        self._refusal = ""

    def config(self) -> dict[str, Any]:
        """librdkafka settings that make a client report here."""
        return {"statistics.interval.ms": self.INTERVAL_MS, "stats_cb": self.statistics, "error_cb": self.error}

    def error(self, error: KafkaError) -> None:
        """An error of the client as a whole; kept to say why Kafka is away."""
        if refuses_us(error):
            self._refusal = f"Kafka at {self._where} does not let us in: {plain_reason(error)}"

    def refused(self, detail: str) -> None:
        """Kafka is reached and does not take what we publish, with the reason; an empty one: it does again."""
        noticed_by = f"{self._client_id} refused"
        if detail:
            self._process.away("kafka", detail, noticed_by=noticed_by, can_work=self._can_work)
        else:
            self._process.back("kafka", noticed_by=noticed_by)

    def statistics(self, report: str) -> None:
        """One report of the client."""
        told = orjson.loads(report)
        for topic in told.get("topics", {}).values():
            behind = [partition["consumer_lag"] for partition in topic["partitions"].values()]
            if any(lag >= 0 for lag in behind):  # -1 where it is not a consumer's, or not yet known
                BACKLOG.labels(self._client_id, topic["topic"]).set(sum(lag for lag in behind if lag > 0))
        states = [broker["state"] for broker in told["brokers"].values()]
        if "UP" in states:
            self._with += 1
            if self._without < self.PATIENCE or self._with >= self.STEADY:
                self._without, self._refusal = 0, ""
                self._process.back("kafka", noticed_by=self._client_id)
            return
        self._with = 0
        self._without += 1
        if self._without >= self.PATIENCE:
            detail = self._refusal or f"no broker of {self._where} answers"
            self._process.away("kafka", detail, noticed_by=self._client_id, can_work=self._can_work)
