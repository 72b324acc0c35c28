"""Ports, folders, Java and jars: what is found, and what is said when it is not."""

from __future__ import annotations

import shutil
import socket
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from pathlib import Path
from threading import Barrier

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kernel.errors import UserError
from movers.local import folders, ports
from movers.local.broker import jars, java, node


def test_a_port_in_use_is_refused_by_name_or_replaced_when_nobody_asked_for_it() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]

        with pytest.raises(UserError, match=rf"port {port} \(kafka\) is in use"):
            ports.require_free(port, "kafka")
        with pytest.raises(UserError, match=r"\(kafka\)"):
            ports.choose_port(9092, "kafka", asked=port)
        assert ports.choose_port(port, "kafka") != port


def test_somebody_on_all_addresses_counts_as_taken() -> None:
    with socket.socket() as taken:
        taken.bind(("0.0.0.0", 0))
        taken.listen()

        assert not ports.is_free(taken.getsockname()[1])


def test_a_free_port_can_be_used() -> None:
    ports.require_free(ports.free_port(), "anything")


@pytest.mark.parametrize("port", [-1, 65536])
def test_a_number_that_is_no_port_is_refused(port: int) -> None:
    with pytest.raises(UserError, match="not a port number"):
        ports.require_free(port, "kafka")


def test_a_full_disk_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="full disk"):
        folders.prepare_folder(tmp_path, "kafka", min_free_mib=1 << 40)


def test_a_folder_has_one_holder_at_a_time(tmp_path: Path) -> None:
    first = folders.FolderLock(tmp_path, "kafka")
    with pytest.raises(UserError, match=r"in use by another kafka \(pid \d+\)"):
        folders.FolderLock(tmp_path, "kafka")
    first.release()

    folders.FolderLock(tmp_path, "kafka").release()


def test_java_home_is_used_when_new_enough_and_the_wheel_otherwise(tmp_path: Path) -> None:
    def home(name: str, version: str) -> Path:
        program = tmp_path / name / "bin" / "java"
        program.parent.mkdir(parents=True)
        program.write_text(f"#!/bin/sh\necho 'openjdk version \"{version}\"' >&2\n")
        program.chmod(0o755)
        return program

    new, old, ancient = home("new", "21.0.4"), home("old", "11.0.2"), home("ancient", "1.8.0_402")

    assert java.find_java(str(new.parent.parent)) == new
    for program in (old, ancient, tmp_path / "none" / "bin" / "java"):
        wheel = java.find_java(str(program.parent.parent))
        assert wheel not in (old, ancient)
        assert (java.java_major(wheel) or 0) >= 17
    assert java.java_major(ancient) == 8


def test_the_lock_has_sums_one_kafka_and_no_addresses() -> None:
    locked = jars.locked_jars()

    assert {f"{jar.group}:{jar.artifact}:{jar.version}" for jar in locked} >= set(jars.ROOTS)
    assert all(len(jar.sha256) == 64 for jar in locked)
    assert "://" not in Path(jars.__file__).with_name(jars.LOCK_NAME).read_text()


def test_two_versions_of_kafka_are_refused() -> None:
    one, two = (jars.Jar("org.apache.kafka", "kafka-clients", version, "") for version in ("4.4.0", "3.9.1"))

    with pytest.raises(ValueError, match=r"3\.9\.1, 4\.4\.0"):
        jars.check_one_kafka([one, two])


@pytest.mark.stack
def test_a_changed_jar_is_refused_and_unchanged_ones_need_no_network(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, repo_dir: Path
) -> None:
    cache = repo_dir / ".movers" / "cache"
    jars.class_path(cache, lambda _message: None)
    copy = tmp_path / "a cache"
    shutil.copytree(cache / "maven", copy / "maven")
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:1")
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:1")

    assert len(jars.class_path(copy, lambda _message: None)) == len(jars.locked_jars())
    victim = jars.locked_jars()[0].path_in(copy / "maven")
    victim.write_bytes(victim.read_bytes() + b"x")
    with pytest.raises(UserError, match=r"is not the kafka_2\.13 4\.4\.0 that was locked"):
        jars.class_path(copy, lambda _message: None)
    victim.unlink()
    with pytest.raises(UserError, match="cannot be downloaded") as caught:
        jars.class_path(copy, lambda _message: None)
    assert "\n" not in str(caught.value)


def test_two_that_download_into_one_cache_at_once_do_not_meet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    jar, both = jars.Jar("org.apache.kafka", "kafka-clients", "4.4.0", sha256(b"jar").hexdigest()), Barrier(2)

    class Repository:
        """A remote one, whose answer comes in two parts."""

        def __init__(self, repo_cache: Path, timeout: float) -> None:
            self.repo_cache = repo_cache

        project = at_version = artifact = lambda self, *_: self

        def resolve(self) -> Path:
            part = jar.path_in(self.repo_cache)
            part.parent.mkdir(parents=True, exist_ok=True)
            with part.open("ab") as file:
                for data in (b"j", b"ar"):
                    file.write(data)
                    file.flush()
                    both.wait(60)
            return part

    monkeypatch.setattr("jgo.maven.MavenContext", Repository)

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda _: jars._download([jar], tmp_path, lambda _message: None), range(2)))

    assert jar.path_in(tmp_path).read_bytes() == b"jar"


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=40))
def test_values_survive_javas_properties_format(text: str) -> None:
    line = node._as_properties({"log.dirs": text}).removesuffix("\n")

    assert line.isascii()
    assert "\n" not in line
    assert _read_as_java_does(line.partition("=")[2]) == text


def _read_as_java_does(value: str) -> str:
    """java.util.Properties: blanks before the value go, a backslash escapes, \\uXXXX is a UTF-16 unit."""
    value = value.lstrip(" \t\f")
    units: list[int] = []
    at = 0
    while at < len(value):
        if value[at] == "\\" and value[at + 1] == "u":
            units.append(int(value[at + 2 : at + 6], 16))
            at += 6
            continue
        at += value[at] == "\\"
        units.append(ord(value[at]))
        at += 1
    return b"".join(unit.to_bytes(2, "big") for unit in units).decode("utf-16-be")


@pytest.mark.parametrize("name", ["with,comma", "with:colon"])
def test_folder_names_that_kafka_cannot_take_are_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(UserError, match="must not have"):
        node.LocalKafka(tmp_path / name, tmp_path, 1, 2).prepare(lambda _message: None)
