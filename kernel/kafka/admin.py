"""An admin client that got in, or what kept it out, in words that a person can act on."""

from __future__ import annotations

import time

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient, ClusterMetadata

from kernel.errors import KafkaAwayError, UserError
from kernel.kafka.connection import client_config
from kernel.kafka.link import plain_reason, refuses_us
from kernel.settings import KafkaSettings
from kernel.tls import certificate_trouble


def open_admin(kafka: KafkaSettings, timeout_s: float = 10.0) -> tuple[AdminClient, ClusterMetadata]:
    """An admin client that got in, and what it saw.

    Raises:
        UserError: Kafka answers and does not let us in: a wrong password, an unknown CA, an expired certificate.
        KafkaAwayError: it does not answer.
    """
    refusals: list[KafkaError] = []

    def complain(error: KafkaError) -> None:
        if refuses_us(error):
            refusals.append(error)

    where = kafka.kafka_bootstrap_servers
    try:
        admin = AdminClient({**client_config(kafka, "movers-admin"), "error_cb": complain})
    except KafkaException as error:  # a certificate or key that cannot be read
        raise UserError(f"Kafka's settings do not do: {plain_reason(error.args[0])}") from error
    deadline_s = time.monotonic() + timeout_s
    while True:
        try:
            return admin, admin.list_topics(timeout=min(1.0, timeout_s))
        except KafkaException as error:
            admin.poll(0)
            if refusals:
                raise UserError(f"Kafka at {where} does not let us in: {_refusal(kafka, refusals[0])}") from error
            if time.monotonic() > deadline_s:
                raise KafkaAwayError(f"Kafka at {where} does not answer: {error.args[0].str()}") from error


def _refusal(kafka: KafkaSettings, error: KafkaError) -> str:
    first = kafka.kafka_bootstrap_servers.split(",")[0].strip()
    if error.code() == KafkaError._SSL and (trouble := certificate_trouble(first, kafka.kafka_ca_file)):
        return f"its certificate is refused: {trouble}"
    return plain_reason(error)
