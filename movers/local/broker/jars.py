"""Apache Kafka's jars: named and summed in a lock, fetched once by their Maven coordinates, verified always.

The lock (`kafka.lock.toml`, jgo's format) holds every jar with its SHA-256 sum. jgo downloads them into a cache of
ours; its environment builder is not used, because it fetches a whole JDK into the home directory to look at jars.

    python -m movers.local.broker.jars lock      resolves the coordinates anew and writes the lock
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from hashlib import sha256
from importlib.resources import files
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from kernel.errors import UserError
from movers.local.folders import prepare_folder

ROOTS = ("org.apache.kafka:kafka_2.13:4.4.0", "org.slf4j:slf4j-simple:1.7.36")
LOCK_NAME = "kafka.lock.toml"
_DOWNLOADS_AT_ONCE = 6
_TIMEOUT_S = 30

Progress = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Jar:
    """One locked jar."""

    group: str
    artifact: str
    version: str
    sha256: str

    def path_in(self, repository: Path) -> Path:
        """Where it lies in a folder laid out as a Maven repository."""
        return repository.joinpath(*self.group.split("."), self.artifact, self.version, self.filename)

    @property
    def filename(self) -> str:
        """artifact-version.jar"""
        return f"{self.artifact}-{self.version}.jar"


def locked_jars() -> list[Jar]:
    """The jars of the lock that is part of this package. Raises ValueError when it mixes versions of Kafka."""
    import tomllib

    data = tomllib.loads(files("movers.local.broker").joinpath(LOCK_NAME).read_text(encoding="utf-8"))
    jars = [Jar(d["groupId"], d["artifactId"], d["version"], d["sha256"]) for d in data["dependencies"]]
    check_one_kafka(jars)
    return jars


def check_one_kafka(jars: Iterable[Jar]) -> None:
    """Raises ValueError unless all jars of org.apache.kafka have one version: a mix starts and fails later."""
    versions = sorted({jar.version for jar in jars if jar.group == "org.apache.kafka"})
    if len(versions) != 1:
        raise ValueError(f"the jars of org.apache.kafka have versions {', '.join(versions) or 'none'}, one is needed")


def class_path(cache_dir: Path, progress: Progress) -> list[Path]:
    """Paths of all jars, downloaded where absent, every one with the sum of the lock.

    Needs the network the first time only. Raises UserError without network or room, and for a jar that was changed.
    """
    repository = cache_dir / "maven"
    prepare_folder(repository, "Kafka's jars")
    jars = locked_jars()
    missing = [jar for jar in jars if not jar.path_in(repository).exists()]
    if missing:
        _download(missing, repository, progress)
    for jar in jars:
        if _sum(jar.path_in(repository)) != jar.sha256:
            path = jar.path_in(repository)
            raise UserError(
                f"{path} is not the {jar.artifact} {jar.version} that was locked; delete it and start again"
            )
    return [jar.path_in(repository) for jar in jars]


def _download(jars: list[Jar], repository: Path, progress: Progress) -> None:
    from jgo.maven import MavenContext

    progress(f"downloading Apache Kafka: {len(jars)} jars, once")
    done = 0
    # A download that was cut short must never be taken for the jar, nor meet that of another start: hence a folder of
    # its own, and the move.
    with TemporaryDirectory(prefix=".part-", dir=repository) as part, ThreadPoolExecutor(_DOWNLOADS_AT_ONCE) as pool:
        staging = MavenContext(repo_cache=Path(part), timeout=_TIMEOUT_S)
        waiting = [pool.submit(_fetch, jar, staging, repository) for jar in jars]
        for future in waiting:
            try:
                future.result()
            except Exception as error:
                pool.shutdown(wait=False, cancel_futures=True)
                if isinstance(error, UserError):
                    raise
                reason = str(error).splitlines()[0] if str(error) else type(error).__name__
                raise UserError(
                    f"Apache Kafka cannot be downloaded ({reason[:160]}); "
                    "check the network connection: it is needed for the first start"
                ) from None
            done += 1
            if done % 5 == 0 or done == len(jars):
                progress(f"downloading Apache Kafka: {done} of {len(jars)} jars")


def _fetch(jar: Jar, staging: Any, repository: Path) -> None:
    artifact = staging.project(jar.group, jar.artifact).at_version(jar.version).artifact()
    downloaded: Path = artifact.resolve()
    if _sum(downloaded) != jar.sha256:
        downloaded.unlink()
        raise UserError(f"the downloaded {jar.filename} is not the one that was locked: its SHA-256 sum differs")
    target = jar.path_in(repository)
    target.parent.mkdir(parents=True, exist_ok=True)
    downloaded.replace(target)


def _sum(path: Path) -> str:
    return sha256(path.read_bytes()).hexdigest()


def write_lock(repository: Path, lock: Path) -> int:
    """Resolves ROOTS and all they need, downloads, and writes jgo's lock. Returns the number of jars."""
    from jgo.env import LockFile
    from jgo.maven import MavenContext
    from jgo.parse import Endpoint

    context = MavenContext(repo_cache=repository, timeout=_TIMEOUT_S)
    roots = [
        context.create_dependency(replace(coordinate, scope="compile"))
        for coordinate in Endpoint.parse("+".join(ROOTS)).coordinates
    ]
    inputs, transitive = context.resolver.resolve(roots)
    needed = [*inputs, *(dependency for dependency in transitive if dependency.scope in ("compile", "runtime"))]
    locked = LockFile.from_resolved_dependencies(needed)
    check_one_kafka(Jar(d.groupId, d.artifactId, d.version, d.sha256) for d in locked.dependencies)
    locked.save(lock)
    return len(locked.dependencies)


if __name__ == "__main__":
    if sys.argv[1:] != ["lock"]:
        sys.exit("usage: python -m movers.local.broker.jars lock")
    count = write_lock(Path(".movers/cache/lock").absolute(), Path(__file__).with_name(LOCK_NAME))
    print(f"{LOCK_NAME}: {count} jars")  # noqa: T201 - a maintainer's command
