"""Kafka's classes as an archive that Java maps instead of reading 10,000 of them from jars: half a node's start.

The suite starts dozens of nodes. The first one writes down which classes it needed, the archive is made of that, and
every later start uses it. Java checks by itself that an archive fits it and its jars, and goes on without one that does
not.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
from pathlib import Path


class ClassArchive:
    """The archive that belongs to a command line of Java, kept in a cache folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._command: list[str] = []
        self._archive = self._list = folder

    def faster(self, command: list[str]) -> list[str]:
        """The command with the archive of its Java and its jars; while there is none, so that one can be made."""
        told = "\0".join(f"{path} {os.stat(path).st_mtime_ns}" for path in (command[0], *_jars(command)))
        stem = self._folder / f"kafka-classes-{hashlib.sha256(told.encode()).hexdigest()[:16]}"
        self._command, self._archive = command, stem.with_suffix(".jsa")
        self._list = stem.with_suffix(f".{os.getpid()}.lst")
        flag = f"SharedArchiveFile={self._archive}" if self._archive.exists() else f"DumpLoadedClassList={self._list}"
        return [command[0], f"-XX:{flag}", *command[1:]]

    def make(self) -> None:
        """Makes the archive of what the running node has loaded, unless it is there or cannot be made here."""
        if self._archive.exists() or not self._list.exists():
            return
        made = self._archive.with_suffix(f".{os.getpid()}")
        java, *flags = self._command
        given = ["-Xshare:dump", f"-XX:SharedClassListFile={self._list}", f"-XX:SharedArchiveFile={made}"]
        try:
            done = subprocess.run([java, *given, *flags], capture_output=True, timeout=120, check=False)
        except subprocess.TimeoutExpired:
            made.unlink(missing_ok=True)  # a busy machine: the next node tries again
        else:
            if done.returncode == 0 and made.exists():
                made.replace(self._archive)
        self._list.unlink()


def _jars(command: list[str]) -> list[str]:
    return command[command.index("-cp") + 1].split(os.pathsep)
