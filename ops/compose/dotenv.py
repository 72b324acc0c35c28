"""`.env` for docker compose: what is missing there is made, what stands there stays."""

from __future__ import annotations

import os
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from dashboard.login import hash_password

SECRETS = ("CLICKHOUSE_PASSWORD", "CLICKHOUSE_READ_PASSWORD", "METRICS_TOKEN")
"""Of who writes to the store, of who reads it, and of who reads metrics."""


@dataclass(frozen=True, slots=True)
class Made:
    """What `complete` had to add. The dashboard's password is known only now; afterwards there is its hash."""

    names: tuple[str, ...]
    dashboard_password: str | None


def read(path: Path) -> dict[str, str]:
    """Names and values of a `.env`; none when there is no such file. Quotes around a value are not part of it."""
    if not path.is_file():
        return {}
    lines = (line.strip() for line in path.read_text("utf-8").splitlines())
    pairs = (line.removeprefix("export ").split("=", 1) for line in lines if "=" in line and not line.startswith("#"))
    return {name.strip(): value.strip().strip("'\"") for name, value in pairs}


def complete(path: Path, wanted: Mapping[str, str] | None = None) -> Made:
    """Adds secrets that are missing or empty, and `wanted` where nothing stands yet. Readable by its owner only."""
    known = {name: value for name, value in read(path).items() if value}
    password = None
    missing = {name: value for name, value in (wanted or {}).items() if name not in known}
    missing |= {name: secrets.token_urlsafe(24) for name in SECRETS if name not in known}
    if not known.keys() & {"DASHBOARD_PASSWORD_HASH", "DASHBOARD_OIDC_METADATA_URL"}:
        password = secrets.token_urlsafe(12)
        missing["DASHBOARD_PASSWORD_HASH"] = hash_password(password)
    if missing:
        _append(path, missing)
    return Made(tuple(missing), password)


def _append(path: Path, values: Mapping[str, str]) -> None:
    kept = [line for line in _lines(path) if line.split("=", 1)[0].strip() not in values]
    draft = path.with_name(path.name + ".new")
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
        file.writelines(f"{line}\n" for line in kept)
        file.writelines(f"{name}={value}\n" for name, value in values.items())
    draft.replace(path)


def _lines(path: Path) -> list[str]:
    return path.read_text("utf-8").splitlines() if path.is_file() else []
