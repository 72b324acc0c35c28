"""Where the hot parts lie as machine code, when this installation has them: analytics, frames, hot codecs, rows.

`movers compile` makes them with mypyc, where a C compiler is; without one the same source runs interpreted, with the
same results. They stand in a folder named after the sources' digest and the interpreter, so that code compiled from
other sources is never used. `MOVERS_INTERPRETED=1` turns all of it off: plain source, and fastavro for every topic.
"""

from __future__ import annotations

import hashlib
import os
import sys
import sysconfig
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]

SCHEMAS = ("codec", "events", "times", "units")
"""Modules of schemas that are compiled, beside the hot topics' codecs: each tick makes a dozen of these."""

ANALYTICS = ("alerts", "bars", "episodes", "moves", "points", "reasons", "scoring", "volume", "windows")
"""Modules of processors/analytics that are compiled; one that is not there is left out.

Not `rules`: pydantic reads its annotations at run time, and compiled classes keep only half of them. It is no hot path.
"""

STEP = ("analytics_app", "client", "memory", "step", "values", "worker")
"""Modules of processors that are compiled: what is done with a message around the analytics."""

FRAMES = (
    "batch", "books", "changes", "continuity", "facts", "framing", "quotes", "streamed", "ticks", "tracked",
    "venue_clock", "*/frames",
)  # fmt: skip
"""Modules of producers that are compiled, each venue's `frames` too: from a frame's bytes to the tick, and
what is remembered for it."""

SINK = ("checks", "rows")
"""Modules of sinks/clickhouse that are compiled: what becomes of each event, from decoded to a row."""

SOURCES = (
    "schemas/*.py",
    "schemas/avro/*.avsc",
    "processors/analytics/*.py",
    *(f"processors/{name}.py" for name in STEP),
    *(f"producers/{name}.py" for name in FRAMES),
    *(f"sinks/clickhouse/{name}.py" for name in SINK),
    "movers/compiling.py",
    "movers/constructors.py",
)
"""What the compiled code depends on."""


@cache
def digest() -> str:
    """Of the sources as they are, and of the interpreter they are compiled for."""
    sha = hashlib.sha256(f"{sysconfig.get_platform()} {sys.version}".encode())
    for pattern in SOURCES:
        for path in sorted(ROOT.glob(pattern)):
            sha.update(path.name.encode() + b"\0" + path.read_bytes())
    return sha.hexdigest()[:16]


def turned_off() -> bool:
    """Whether plain source and fastavro are asked for."""
    return bool(os.environ.get("MOVERS_INTERPRETED"))


def home() -> Path:
    """Folder of all compiled versions, part of the environment they belong to."""
    return Path(sys.prefix) / "lib" / "movers-compiled"


@cache
def folder() -> Path | None:
    """Folder of the code compiled from these sources, if it is there and wanted."""
    path = home() / digest()
    if turned_off() or not (path / "complete").is_file():
        return None
    if str(path) not in sys.path:
        sys.path.append(str(path))  # the library that the modules share
    return path


def search_path(package: str, own: list[str]) -> list[str]:
    """A package's `__path__` with its compiled modules in front."""
    compiled = folder()
    return own if compiled is None else [str(compiled.joinpath(*package.split("."))), *own]
