"""Apache Kafka on one machine: one node that is broker and controller (KRaft), small, on the loopback address.

This module prepares and describes the process; the supervisor starts it, watches it and stops it with SIGTERM.
"""

from __future__ import annotations

import base64
import fcntl
import os
import socket
import subprocess
import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from kernel.errors import UserError
from movers.local.broker.health import check_health, cluster_id
from movers.local.broker.jars import Progress, class_path
from movers.local.broker.java import find_java, java_major
from movers.local.folders import FolderLock, prepare_folder
from movers.local.ports import LOOPBACK

MIN_FREE_MIB = 256
_MIB = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class LockedDoor:
    """A second way in: TLS, and a login by SCRAM-SHA-512 or PLAIN.

    Args:
        port: on loopback.
        keystore: PEM file with the node's private key (PKCS 8) and its certificate.
        users: name to password.
    """

    port: int
    keystore: Path
    users: Mapping[str, str]


class LocalKafka:
    """One Kafka node on a data folder.

    Call `prepare` once, start `argv()`, then `wait_ready`. A killed node comes
    back on the same folder by starting `argv()` again.
    """

    def __init__(
        self,
        data_dir: Path,
        cache_dir: Path,
        port: int,
        controller_port: int,
        heap_mb: int = 256,
        java_home: str = "",
        doors: Sequence[LockedDoor] = (),
    ) -> None:
        self.data_dir = data_dir.absolute()
        self.cache_dir = cache_dir.absolute()
        self.port = port
        self.controller_port = controller_port
        self.heap_mb = heap_mb
        self.cluster_id = _cluster_id()
        self._java_home = java_home
        self._doors = {f"DOOR{number}": door for number, door in enumerate(doors)}
        self._java: Path | None = None
        self._java_flags: list[str] = []
        self._jars: list[Path] = []
        self._lock: FolderLock | None = None

    @property
    def bootstrap(self) -> str:
        """`bootstrap.servers` for clients."""
        return f"{LOOPBACK}:{self.port}"

    @property
    def log_dir(self) -> Path:
        """Where the topics lie."""
        return self.data_dir / "logs"

    @property
    def properties_file(self) -> Path:
        """The broker's settings, written by `prepare`."""
        return self.data_dir / "server.properties"

    def prepare(self, progress: Progress) -> None:
        """Downloads the jars when absent, writes the settings, formats the storage once.

        Holds the data folder for this process until `release`. Raises UserError when something the user can mend
        stands in the way.
        """
        for path in (self.data_dir, self.cache_dir):
            if "," in str(path) or os.pathsep in str(path):
                raise UserError(f"folder {path} (kafka) must not have a comma or '{os.pathsep}' in its name")
        prepare_folder(self.data_dir, "kafka", MIN_FREE_MIB)
        if self._lock is None:
            self._lock = FolderLock(self.data_dir, "kafka")
            self._refuse_orphan()
        self._java = find_java(self._java_home)
        if (java_major(self._java) or 0) >= 24:
            # Kafka and its codecs use what newer Java warns about at every start.
            self._java_flags = ["--sun-misc-unsafe-memory-access=allow", "--enable-native-access=ALL-UNNAMED"]
        self._jars = class_path(self.cache_dir, progress)
        (self.data_dir / "tmp").mkdir(exist_ok=True)
        self.properties_file.write_text(_as_properties(self.properties()), encoding="ascii")
        if not (self.log_dir / "meta.properties").exists():
            progress("formatting Kafka's storage")
            self._format()

    def release(self) -> None:
        """Frees the data folder; call it after the node has stopped."""
        if self._lock is not None:
            self._lock.release()
            self._lock = None

    def argv(self) -> list[str]:
        """The command line of the node."""
        return [*self._java_command(), "kafka.Kafka", str(self.properties_file)]

    def wait_ready(self, timeout_s: float) -> None:
        """Returns when a transaction and a consumer group work.

        Raises:
            TimeoutError: they do not in time.
            UserError: another Kafka answers: it took the port between our choice of it and our node's start.
        """
        deadline_s = time.monotonic() + timeout_s
        while time.monotonic() < deadline_s:
            with socket.socket() as probe:
                probe.settimeout(1.0)
                listens = probe.connect_ex((LOOPBACK, self.port)) == 0
            if listens and (answering := cluster_id(self.bootstrap)) is not None:
                self._refuse_another(answering)
                check_health(self.bootstrap, deadline_s - time.monotonic())
                return
            time.sleep(0.05)
        raise TimeoutError(f"kafka did not listen on {self.bootstrap} within {timeout_s:.0f} s")

    def _refuse_another(self, answering: str) -> None:
        formatted = (self.log_dir / "meta.properties").read_text("utf-8").splitlines()
        if f"cluster.id={answering}" not in formatted:
            raise UserError(f"another Kafka answers at {self.bootstrap}, not the one of {self.data_dir}: start again")

    def properties(self) -> dict[str, str | int]:
        """The broker's settings: Kafka's defaults, made for one node and little memory."""
        ways_in = [
            f"PLAINTEXT://{LOOPBACK}:{self.port}",
            *(f"{name}://{LOOPBACK}:{door.port}" for name, door in self._doors.items()),
        ]
        return {
            "process.roles": "broker,controller",
            "node.id": 1,
            "controller.quorum.voters": f"1@{LOOPBACK}:{self.controller_port}",
            "listeners": ",".join([*ways_in, f"CONTROLLER://{LOOPBACK}:{self.controller_port}"]),
            "advertised.listeners": ",".join(ways_in),
            "listener.security.protocol.map": ",".join(
                ["PLAINTEXT:PLAINTEXT", "CONTROLLER:PLAINTEXT", *(f"{name}:SASL_SSL" for name in self._doors)]
            ),
            "inter.broker.listener.name": "PLAINTEXT",
            "controller.listener.names": "CONTROLLER",
            "log.dirs": str(self.log_dir),
            # One node: everything internal has one copy, and few partitions.
            "default.replication.factor": 1,
            "min.insync.replicas": 1,
            "offsets.topic.replication.factor": 1,
            "offsets.topic.num.partitions": 4,
            "transaction.state.log.replication.factor": 1,
            "transaction.state.log.min.isr": 1,
            "transaction.state.log.num.partitions": 4,
            "share.coordinator.state.topic.replication.factor": 1,
            "share.coordinator.state.topic.min.isr": 1,
            "share.coordinator.state.topic.num.partitions": 1,
            "auto.create.topics.enable": "false",
            "group.initial.rebalance.delay.ms": 0,
            "message.max.bytes": 16 * _MIB,
            "replica.fetch.max.bytes": 16 * _MIB,
            # Small files: segments roll early, so that retention and compaction can work on a small data folder.
            "log.segment.bytes": 64 * _MIB,
            "log.index.size.max.bytes": _MIB,
            "offsets.topic.segment.bytes": 8 * _MIB,
            "transaction.state.log.segment.bytes": 8 * _MIB,
            "metadata.log.segment.bytes": 8 * _MIB,
            "log.cleaner.dedupe.buffer.size": 16 * _MIB,  # of the heap; 128 MiB by default
            # Few threads, and no empty metadata record twice a second.
            "num.network.threads": 2,
            "num.io.threads": 4,
            "background.threads": 2,
            "num.recovery.threads.per.data.dir": 2,
            "log.cleaner.threads": 1,
            "metadata.max.idle.interval.ms": 5000,
            # A killed node may register again only when its former session has ended: 9 s by default.
            "broker.session.timeout.ms": 5000,
            "broker.heartbeat.interval.ms": 1000,
            **{key: value for name, door in self._doors.items() for key, value in _door(name, door).items()},
        }

    def _refuse_orphan(self) -> None:
        """A node whose supervisor was killed runs on; a second one would only fail, with a long trace."""
        lock = self.log_dir / ".lock"
        if not lock.exists():
            return
        with lock.open("r+b") as file:
            try:
                fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                self.release()
                raise UserError(f"data folder {self.data_dir} is in use by another kafka; stop it first") from None

    def _java_command(self) -> list[str]:
        if self._java is None:
            raise RuntimeError("call prepare() first")
        return [
            str(self._java),
            "-cp",
            os.pathsep.join(map(str, self._jars)),
            f"-Xmx{self.heap_mb}m",
            "-Xms64m",
            "-XX:+UseSerialGC",
            "-XX:TieredStopAtLevel=1",  # half the processor time to start, and 30 MB less
            "-XX:MaxMetaspaceSize=160m",
            "-XX:ReservedCodeCacheSize=64m",
            "-XX:+ExitOnOutOfMemoryError",  # a broker without memory limps; one that ends is started again
            "-XX:-UsePerfData",  # or it writes outside the data folder
            f"-XX:ErrorFile={self.data_dir / 'java-crash.log'}",
            f"-Djava.io.tmpdir={self.data_dir / 'tmp'}",
            "-Djava.awt.headless=true",
            "-Djava.net.preferIPv4Stack=true",
            "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
            "-Dorg.slf4j.simpleLogger.showThreadName=false",
            *self._java_flags,
        ]

    def _format(self) -> None:
        command = [*self._java_command(), "kafka.tools.StorageTool", "format"]
        arguments = ["--cluster-id", self.cluster_id, "--config", str(self.properties_file), "--ignore-formatted"]
        for user, password in {u: p for door in self._doors.values() for u, p in door.users.items()}.items():
            arguments += ["--add-scram", f"SCRAM-SHA-512=[name={user},password={password}]"]
        done = subprocess.run(
            [*command, *arguments],
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        if done.returncode != 0:
            reason = ((done.stderr or done.stdout).strip().splitlines() or ["no message"])[-1]
            raise UserError(f"Kafka's storage in {self.log_dir} cannot be formatted: {reason[:200]}")


def _door(name: str, door: LockedDoor) -> dict[str, str | int]:
    """Settings of one more listener (Kafka 4: per-listener names, in small letters)."""
    at = f"listener.name.{name.lower()}"
    logins = " ".join(f'user_{user}="{password}"' for user, password in door.users.items())
    modules = "org.apache.kafka.common.security"
    return {
        f"{at}.ssl.keystore.type": "PEM",
        f"{at}.ssl.keystore.location": str(door.keystore),
        f"{at}.sasl.enabled.mechanisms": "SCRAM-SHA-512,PLAIN",
        f"{at}.scram-sha-512.sasl.jaas.config": f"{modules}.scram.ScramLoginModule required;",
        f"{at}.plain.sasl.jaas.config": f"{modules}.plain.PlainLoginModule required {logins};",
    }


def _cluster_id() -> str:
    # Kafka wants 22 characters of URL-safe base64 and takes a leading dash for an option.
    while (text := base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")).startswith("-"):
        pass
    return text


def _as_properties(values: dict[str, str | int]) -> str:
    """Java's properties format: Latin-1, where a backslash escapes and other characters are \\uXXXX."""
    return "".join(f"{name}={_escaped(str(value))}\n" for name, value in values.items())


def _escaped(value: str) -> str:
    units = value.replace("\\", "\\\\").encode("utf-16-be")
    codes = [int.from_bytes(units[at : at + 2], "big") for at in range(0, len(units), 2)]
    text = "".join(chr(code) if 0x20 <= code < 0x7F else f"\\u{code:04x}" for code in codes)
    return f"\\{text}" if text.startswith(" ") else text
