"""What the schema registry knows: schemas by id, versions by subject, compatibility levels; kept in one JSON file.

Rules and error codes as in the Confluent schema registry's REST documentation (read November 2026).
"""

from __future__ import annotations

import json
import os
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kernel.errors import UserError
from movers.local.registry.compatibility import InvalidSchemaError, ParsedSchema, parse, problems

LEVELS = frozenset(
    {"NONE", "BACKWARD", "BACKWARD_TRANSITIVE", "FORWARD", "FORWARD_TRANSITIVE", "FULL", "FULL_TRANSITIVE"}
)
DEFAULT_LEVEL = "BACKWARD"


class RegistryError(Exception):
    """An answer that is an error: HTTP status, the registry's own code, and a text."""

    def __init__(self, status: int, code: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code


@dataclass(frozen=True, slots=True)
class Registered:
    """One version of a subject."""

    subject: str
    version: int
    schema_id: int
    schema: str


class Store:
    """Thread-safe; every change is on disk before the method returns."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / "registry.json"
        self._lock = threading.RLock()
        self._schemas: dict[int, str] = {}
        self._subjects: dict[str, list[int]] = {}  # schema ids; version n is at n - 1
        self._levels: dict[str, str] = {}  # "" is the global level
        if self._file.exists():
            self._load()

    def subjects(self) -> list[str]:
        """All subjects, sorted."""
        with self._lock:
            return sorted(self._subjects)

    def versions(self, subject: str) -> list[int]:
        """Versions of a subject, 1 and up."""
        return list(range(1, len(self._ids(subject)) + 1))

    def get(self, subject: str, version: str) -> Registered:
        """One version; `version` is a number, "latest" or "-1"."""
        with self._lock:
            ids = self._ids(subject)
            number = len(ids) if version in ("latest", "-1") else _version_number(version)
            if number > len(ids):
                raise RegistryError(404, 40402, f"Version {number} not found.")
            return self._registered(subject, number)

    def schema(self, schema_id: int) -> str:
        """Schema text of an id."""
        with self._lock:
            if schema_id not in self._schemas:
                raise RegistryError(404, 40403, f"Schema {schema_id} not found")
            return self._schemas[schema_id]

    def uses(self, schema_id: int) -> list[Registered]:
        """Where a schema is registered."""
        with self._lock:
            self.schema(schema_id)
            return [
                self._registered(subject, number)
                for subject, ids in sorted(self._subjects.items())
                for number, one in enumerate(ids, 1)
                if one == schema_id
            ]

    def find(self, subject: str, schema: str) -> Registered:
        """The version of a subject that has this schema."""
        with self._lock:
            ids = self._ids(subject)
            canonical = _canonical(schema)
            for number, schema_id in enumerate(ids, 1):
                if self._schemas[schema_id] == canonical:
                    return self._registered(subject, number)
            raise RegistryError(404, 40403, "Schema not found")

    def register(self, subject: str, schema: str) -> Registered:
        """Adds a version, or finds it when it is there already. 409 when the subject's level forbids it."""
        with self._lock:
            canonical = _canonical(schema)
            if subject in self._subjects:
                try:
                    return self.find(subject, schema)
                except RegistryError as error:
                    if error.code != 40403:
                        raise
            found = self._check(subject, canonical, self._subjects.get(subject, []))
            if found:
                text = f'Schema being registered is incompatible with an earlier schema for subject "{subject}": '
                raise RegistryError(409, 409, text + "; ".join(found))
            schema_id = next((number for number, text in self._schemas.items() if text == canonical), 0)
            if not schema_id:
                schema_id = max(self._schemas, default=0) + 1
                self._schemas[schema_id] = canonical
            self._subjects.setdefault(subject, []).append(schema_id)
            self._save()
            return self._registered(subject, len(self._subjects[subject]))

    def check(self, subject: str, schema: str, version: str | None) -> list[str]:
        """Why a schema may not follow `version` (None: those that the subject's level looks at); empty when it may."""
        with self._lock:
            canonical = _canonical(schema)
            ids = self._ids(subject) if version is None else [self.get(subject, version).schema_id]
            return self._check(subject, canonical, ids)

    def level(self, subject: str = "", *, inherit: bool = True) -> str:
        """Compatibility level of a subject, or the global one."""
        with self._lock:
            if subject and subject not in self._levels and not inherit:
                text = f"Subject '{subject}' does not have subject-level compatibility configured"
                raise RegistryError(404, 40408, text)
            return self._levels.get(subject) or self._levels.get("", DEFAULT_LEVEL)

    def set_level(self, subject: str, level: str) -> None:
        """Sets the level of a subject; "" sets the global one."""
        if level not in LEVELS:
            raise RegistryError(
                422, 42203, f"Invalid compatibility level. Valid values are {', '.join(sorted(LEVELS))}"
            )
        with self._lock:
            self._levels[subject] = level
            self._save()

    def clear_level(self, subject: str) -> str:
        """Takes a subject's own level away and tells what it was."""
        with self._lock:
            level = self.level(subject, inherit=False)
            self._levels.pop(subject, None)
            self._save()
            return level

    def _check(self, subject: str, canonical: str, ids: list[int]) -> list[str]:
        level = self.level(subject)
        new = _parsed(canonical)
        if level == "NONE" or not ids:
            return []
        found = []
        for schema_id in reversed(ids if level.endswith("_TRANSITIVE") else ids[-1:]):
            old = _parsed(self._schemas[schema_id])
            if not level.startswith("FORWARD"):
                found += [f"reading old data: {problem}" for problem in problems(reader=new, writer=old)]
            if not level.startswith("BACKWARD"):
                found += [f"reading new data: {problem}" for problem in problems(reader=old, writer=new)]
        return found

    def _ids(self, subject: str) -> list[int]:
        with self._lock:
            if subject not in self._subjects:
                raise RegistryError(404, 40401, f"Subject '{subject}' not found.")
            return self._subjects[subject]

    def _registered(self, subject: str, number: int) -> Registered:
        schema_id = self._subjects[subject][number - 1]
        return Registered(subject, number, schema_id, self._schemas[schema_id])

    def _load(self) -> None:
        try:
            data = json.loads(self._file.read_text(encoding="utf-8"))
            self._schemas = {int(number): text for number, text in data["schemas"].items()}
            self._subjects = {subject: list(ids) for subject, ids in data["subjects"].items()}
            self._levels = dict(data["levels"])
        except (OSError, ValueError, KeyError, AttributeError) as error:
            raise UserError(f"{self._file} (registry) cannot be read: {error}") from None

    def _save(self) -> None:
        data = {"schemas": self._schemas, "subjects": self._subjects, "levels": self._levels}
        draft = self._file.with_suffix(".tmp")
        try:
            with draft.open("w", encoding="utf-8") as file:
                json.dump(data, file, indent=1)
                file.flush()
                os.fsync(file.fileno())
            draft.replace(self._file)
        except OSError as error:
            # Memory must not know what the disk does not.
            if self._file.exists():
                self._load()
            else:
                self._schemas, self._subjects, self._levels = {}, {}, {}
            raise RegistryError(500, 50001, f"Error in the backend data store: {error.strerror}") from None


def _version_number(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        detail = 'is not a valid version id. Allowed values are between [1, 2^31-1] and the string "latest"'
        raise RegistryError(422, 42202, f"The specified version '{text}' {detail}")
    return int(text)


def _canonical(schema: str) -> str:
    return json.dumps(_decoded(schema), separators=(",", ":"), ensure_ascii=False)


def _decoded(schema: str) -> Any:
    try:
        decoded = json.loads(schema)
        parse(decoded)
    except (ValueError, InvalidSchemaError) as error:
        raise RegistryError(422, 42201, f"Invalid schema: {error}") from None
    # `{"type": "string"}` and `"string"` are one schema.
    if isinstance(decoded, dict) and set(decoded) == {"type"} and isinstance(decoded["type"], str):
        return decoded["type"]
    return decoded


def _parsed(canonical: str) -> ParsedSchema:
    return parse(json.loads(canonical))
