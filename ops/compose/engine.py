"""Docker and its Compose, found and asked."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kernel.errors import UserError

MIN_COMPOSE = (2, 20)
"""`depends_on.required` came with it."""


def compose_command() -> list[str]:
    """`docker compose`, or `docker-compose` where that is a version 2; the engine answers.

    Raises:
        UserError: no engine, or no Compose that knows our file.
    """
    for command in (["docker", "compose"], ["docker-compose"]):
        if shutil.which(command[0]) is None:
            continue
        asked = subprocess.run([*command, "version", "--short"], capture_output=True, text=True, check=False)
        if asked.returncode == 0 and _version(asked.stdout) >= MIN_COMPOSE:
            _require_engine()
            return command
    wanted = ".".join(map(str, MIN_COMPOSE))
    raise UserError(f"Docker Compose {wanted} or newer is needed (docker compose version); `make up` needs none")


def _version(text: str) -> tuple[int, ...]:
    numbers = text.strip().lstrip("v").split("-")[0].split(".")
    return tuple(int(number) for number in numbers if number.isdecimal())


def _require_engine() -> None:
    asked = subprocess.run(["docker", "version", "--format", "{{.Server.Version}}"], capture_output=True, text=True)
    if asked.returncode != 0:
        reason = (asked.stderr.strip().splitlines() or ["no answer"])[-1]
        raise UserError(f"no Docker engine answers: {reason}")


@dataclass(frozen=True, slots=True)
class Project:
    """One checkout's compose file under a project's name.

    Args:
        env_files: read in this order; the later one counts.
    """

    folder: Path
    name: str
    command: Sequence[str]
    env_files: Sequence[Path]
    environment: Mapping[str, str] = field(default_factory=dict)

    def run(self, *arguments: str, timeout_s: float = 900, quiet: bool = False) -> subprocess.CompletedProcess[str]:
        """`docker compose …`. Raises UserError with its last lines when it fails."""
        env_files = [part for path in self.env_files for part in ("--env-file", str(path))]
        done = subprocess.run(
            [*self.command, "--progress", "quiet", "--project-name", self.name, *env_files, *arguments],
            cwd=self.folder,
            env={**os.environ, **self.environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE if quiet else None,
            text=True,
            timeout=timeout_s,
            check=False,
        )
        if done.returncode != 0:
            tail = "\n".join(((done.stderr or "") + done.stdout).strip().splitlines()[-15:])
            raise UserError(f"docker compose {' '.join(arguments[:2])} failed:\n{tail}")
        return done

    def services(self) -> list[dict[str, Any]]:
        """State of each container, the ended ones too."""
        out = self.run("ps", "--all", "--format", "json", quiet=True).stdout
        return [json.loads(line) for line in out.splitlines() if line.startswith("{")]


def docker(*arguments: str, timeout_s: float = 1800) -> str:
    """`docker …`, its output. Raises UserError with its last lines when it fails."""
    done = subprocess.run(["docker", *arguments], capture_output=True, text=True, timeout=timeout_s, check=False)
    if done.returncode != 0:
        tail = "\n".join((done.stdout + done.stderr).strip().splitlines()[-15:])
        raise UserError(f"docker {arguments[0]} failed:\n{tail}")
    return done.stdout.strip()
