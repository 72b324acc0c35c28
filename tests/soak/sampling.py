"""Memory, handles and disk of a run at moments, and whether they stood still after warm-up."""

from __future__ import annotations

import contextlib
import os
import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import psutil

Kind = Literal["rss_mib", "handles", "disk_mib"]

WARM_UP = 1 / 3
"""Share of the run that is not judged: caches fill, the first segments and parts are written."""

MAY_GROW: Mapping[Kind, tuple[float, float]] = {"rss_mib": (0.10, 16), "handles": (0.10, 8), "disk_mib": (0.25, 32)}
"""What still counts as flat: so large a share of what there was, plus so many MiB or handles."""

_MIB = 1 << 20


@dataclass(frozen=True, slots=True)
class Sample:
    """One look: `values` by what is measured and whose it is."""

    at_s: float
    values: Mapping[tuple[Kind, str], float]


@dataclass(frozen=True, slots=True)
class Course:
    """One value over the run: medians of the first and the last third after warm-up, and its peak."""

    kind: Kind
    name: str
    early: float
    late: float
    peak: float

    @property
    def flat(self) -> bool:
        """Whether it grew by no more than `MAY_GROW`."""
        share, some = MAY_GROW[self.kind]
        return self.late <= self.early * (1 + share) + some


def take(at_s: float, pids: Mapping[str, int], folders: Mapping[str, Path]) -> Sample:
    """Measures each process with its children, and each folder. A process that has just ended is left out."""
    values: dict[tuple[Kind, str], float] = {}
    for name, pid in pids.items():
        try:
            root = psutil.Process(pid)
            family = [root, *root.children(recursive=True)]
            rss = sum(p.memory_info().rss for p in family) / _MIB
            handles = sum(p.num_fds() for p in family)
        except psutil.Error:
            continue
        values["rss_mib", name], values["handles", name] = rss, handles
    for name, folder in folders.items():
        values["disk_mib", name] = folder_bytes(folder) / _MIB
    return Sample(at_s, values)


def folder_bytes(folder: Path) -> int:
    """Bytes that a folder's files take on disk (sparse files count as what they take); files may vanish meanwhile."""
    blocks = 0
    for inner, _, names in os.walk(folder):  # passes over a folder that has vanished, which `Path.rglob` does not
        for name in names:
            with contextlib.suppress(OSError):
                blocks += os.lstat(os.path.join(inner, name)).st_blocks
    return blocks * 512


def courses(samples: Sequence[Sample]) -> Iterator[Course]:
    """How each value went, of those that were there after warm-up at least three times.

    Raises:
        ValueError: no sample.
    """
    end_s = max(sample.at_s for sample in samples)
    judged = [sample for sample in samples if sample.at_s >= end_s * WARM_UP]
    names = dict.fromkeys(key for sample in judged for key in sample.values)
    for kind, name in names:
        found = [sample.values[kind, name] for sample in judged if (kind, name) in sample.values]
        third = len(found) // 3
        if third:
            early, late = statistics.median(found[:third]), statistics.median(found[-third:])
            yield Course(kind, name, early, late, max(found))


def table(found: Sequence[Course]) -> Iterator[str]:
    """The courses as rows of a Markdown table."""
    yield "| what | whose | early | late | peak | flat |"
    yield "|---|---|---|---|---|---|"
    for one in found:
        yield (
            f"| {one.kind} | {one.name} | {one.early:.0f} | {one.late:.0f} | {one.peak:.0f} "
            f"| {'yes' if one.flat else 'no'} |"
        )
