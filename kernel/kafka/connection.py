"""How any Kafka client of ours gets in, and where its complaints go."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from kernel.kafka.link import LinkSilence, LinkWatch
from kernel.settings import KafkaSettings

_LIBRDKAFKA = logging.getLogger("librdkafka")
"""Where the C library's own lines go: into our logs, not raw onto stderr. Handed over when a client polls."""
_LIBRDKAFKA.addFilter(LinkSilence())

COMING_BACK: Mapping[str, Any] = {"reconnect.backoff.max.ms": 1_000}
"""By default librdkafka waits up to ten seconds before it tries a broker again, each connection for itself, so that one
back after a restart is met late; a second is what Kafka's Java clients wait."""


def connection_config(kafka: KafkaSettings, client_id: str) -> dict[str, Any]:
    """How any Kafka client of ours gets in, Quix's included: address, protocol, login, certificates."""
    config: dict[str, Any] = {
        "bootstrap.servers": kafka.kafka_bootstrap_servers,
        "client.id": client_id,
        "security.protocol": kafka.kafka_security_protocol.lower(),
    }
    if kafka.kafka_security_protocol.startswith("SASL"):
        config |= {
            "sasl.mechanism": kafka.kafka_sasl_mechanism,
            "sasl.username": kafka.kafka_username,
            "sasl.password": kafka.kafka_password.get_secret_value(),
        }
    if kafka.kafka_security_protocol.endswith("SSL"):
        files = {
            "ssl.ca.location": kafka.kafka_ca_file,
            "ssl.certificate.location": kafka.kafka_certificate_file,
            "ssl.key.location": kafka.kafka_key_file,
        }
        config |= {name: str(path) for name, path in files.items() if path is not None}
        if kafka.kafka_key_file is not None and (password := kafka.kafka_key_password.get_secret_value()):
            config["ssl.key.password"] = password
    return config


def client_config(kafka: KafkaSettings, client_id: str, watch: LinkWatch | None = None) -> dict[str, Any]:
    """Settings that every client of ours begins with: how it gets in, and where its complaints go."""
    told = {"error_cb": lambda _error: None} if watch is None else watch.config()
    return {**connection_config(kafka, client_id), **COMING_BACK, **told, "logger": _LIBRDKAFKA}
