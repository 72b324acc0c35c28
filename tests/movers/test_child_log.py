"""What children say does not fill the disk, however long they run."""

from __future__ import annotations

from pathlib import Path

import pytest

from movers import child_log
from movers.child_log import KEPT, ChildLog


def lines(path: Path) -> list[str]:
    return path.read_text("utf-8").splitlines()


def test_however_much_is_said_the_newest_is_kept_and_the_files_stay_small(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(child_log, "MAX_BYTES", 100)
    said = [f"line {number:03}" for number in range(500)]

    log = ChildLog(tmp_path / "sink.log")
    for line in said:
        log.write(line)
    log.close()

    names = ["sink.log", "sink.log.1", "sink.log.2"]
    assert sorted(path.name for path in tmp_path.iterdir()) == names
    assert len(names) == KEPT
    assert all((tmp_path / name).stat().st_size <= 100 for name in names)
    kept = [line for name in reversed(names) for line in lines(tmp_path / name)]
    assert kept == said[-len(kept) :]


def test_a_start_goes_on_where_the_run_before_ended(tmp_path: Path) -> None:
    for run in ("first", "second"):
        log = ChildLog(tmp_path / "sink.log")
        log.write(run)
        log.close()

    assert lines(tmp_path / "sink.log") == ["first", "second"]


def test_a_line_larger_than_a_file_is_kept_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(child_log, "MAX_BYTES", 100)
    log = ChildLog(tmp_path / "sink.log")
    log.write("x" * 1_000)
    log.write("next")
    log.close()

    assert lines(tmp_path / "sink.log") == ["next"]
    assert lines(tmp_path / "sink.log.1") == ["x" * 1_000]


def test_a_disk_that_took_no_new_file_is_tried_again_with_the_next_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(child_log, "MAX_BYTES", 10)
    log = ChildLog(tmp_path / "logs.log")
    log.write("1234567")
    with monkeypatch.context() as full:
        full.setattr(Path, "open", lambda *_, **__: (_ for _ in ()).throw(OSError("no space")))
        for line in ("lost", "lost too"):
            with pytest.raises(OSError, match="no space"):
                log.write(line)
    log.write("after")
    log.close()

    assert lines(tmp_path / "logs.log") == ["after"]
