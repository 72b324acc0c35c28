"""Client of the schema registry's REST: register once at set-up, look ids up afterwards. Auto-registration is off."""

from __future__ import annotations

import ssl
from collections.abc import Sequence
from pathlib import Path

import httpx

from kernel.errors import RegistryAwayError, UserError
from kernel.settings import KafkaSettings
from kernel.tls import certificate_refusal
from schemas.avro_files import schema_text
from schemas.topics import Topic

COMPATIBILITY = "FULL_TRANSITIVE"
"""New versions of a subject must read all old ones and be read by them."""


class SchemaRegistry:
    """The registry of the running stack (our loopback one, Redpanda's, Confluent's). Satisfies `SchemaStore`."""

    def __init__(self, url: str, *, login: tuple[str, str] | None = None, ca_file: Path | None = None) -> None:
        verify = True if ca_file is None else ssl.create_default_context(cafile=str(ca_file))
        self._http = httpx.Client(base_url=url.rstrip("/"), timeout=10, trust_env=False, auth=login, verify=verify)

    @classmethod
    def of(cls, kafka: KafkaSettings) -> SchemaRegistry:
        """The registry that the settings name.

        Raises:
            UserError: the file of its CA is none.
        """
        user, password = kafka.schema_registry_username, kafka.schema_registry_password.get_secret_value()
        try:
            return cls(
                kafka.schema_registry_url,
                login=(user, password) if user else None,
                ca_file=kafka.schema_registry_ca_file,
            )
        except ssl.SSLError as error:
            raise UserError(f"SCHEMA_REGISTRY_CA_FILE {kafka.schema_registry_ca_file}: no certificate in it") from error

    def close(self) -> None:
        """Closes the connections."""
        self._http.close()

    def id_of(self, subject: str, schema: str) -> int:
        """Id under which exactly this schema is registered.

        Raises:
            UserError: it is not registered (`movers schemas register` was not run).
            RegistryAwayError: the registry does not answer.
        """
        answer = self._call("POST", f"/subjects/{subject}", {"schema": schema})
        if answer.status_code == 404:
            raise UserError(f"schema of {subject} is not registered; run `movers schemas register`")
        answer.raise_for_status()
        return int(answer.json()["id"])

    def by_id(self, schema_id: int) -> str:
        """Schema text of an id. Raises LookupError when unknown, RegistryAwayError when the registry is away."""
        answer = self._call("GET", f"/schemas/ids/{schema_id}")
        if answer.status_code == 404:
            raise LookupError(schema_id)
        answer.raise_for_status()
        return str(answer.json()["schema"])

    def register(self, topics: Sequence[Topic]) -> dict[str, int]:
        """Registers each topic's schema under its subject; idempotent. Returns subject to id.

        Raises:
            UserError: a schema is not compatible with what is registered.
        """
        ids: dict[str, int] = {}
        for topic in topics:
            self._call("PUT", f"/config/{topic.subject}", {"compatibility": COMPATIBILITY}).raise_for_status()
            body = {"schema": schema_text(topic.subject_file)}
            answer = self._call("POST", f"/subjects/{topic.subject}/versions", body)
            if answer.status_code == 409:
                raise UserError(f"schema of {topic.subject} is not {COMPATIBILITY} with what is registered")
            answer.raise_for_status()
            ids[topic.subject] = int(answer.json()["id"])
        return ids

    def _call(self, method: str, path: str, body: dict[str, str] | None = None) -> httpx.Response:
        try:
            answer = self._http.request(method, path, json=body)
        except httpx.TransportError as error:
            if refusal := certificate_refusal(error):
                raise UserError(
                    f"schema registry {self._http.base_url}: its certificate is refused: {refusal}"
                ) from error
            raise RegistryAwayError(f"schema registry {self._http.base_url} does not answer: {error}") from error
        if answer.status_code in (401, 403):
            raise UserError(f"schema registry {self._http.base_url} refuses the login ({answer.status_code})")
        if answer.is_server_error:
            raise RegistryAwayError(f"schema registry {self._http.base_url} answers {answer.status_code}")
        return answer
