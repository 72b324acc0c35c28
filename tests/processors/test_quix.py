"""What the client of a processor is told to do beside reading; the whole of it is in test_apps and test_bad_day."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import pytest

from kernel.errors import KafkaAwayError
from kernel.process import Process
from kernel.reader_watch import ReaderWatch
from kernel.settings import Settings
from processors import quix
from processors.analytics_app import STAGE
from processors.log_watch import Log
from processors.quix import _consumer_config
from processors.worker import Worker
from tests.stack.ports import free_port


class _Watch:
    def __init__(self, outside: bool) -> None:
        self._outside = outside

    def finds_it_outside(self, *, kafka_away: bool) -> bool:
        return self._outside


class _Alive(Process):
    beats = 0

    def beat(self) -> None:
        self.beats += 1


@pytest.mark.parametrize(("outside", "beats"), [(False, 1), (True, 0)])
def test_a_reader_whose_group_never_answers_does_not_count_as_a_loop_that_turns(outside: bool, beats: int) -> None:
    process = _Alive("process-p")
    config = _consumer_config("g", Settings({}), process, cast("ReaderWatch", _Watch(outside)))

    config["stats_cb"]('{"brokers": {"a:1/1": {"state": "UP"}}}')

    assert process.beats == beats


def test_a_kafka_that_goes_away_while_a_processor_is_wired_is_away_and_no_trace(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """It answered what we ask first, and not what Quix asks then."""
    for asked_first in ("require_topics", "remove_of_former_logs", "grow"):
        monkeypatch.setattr(quix, asked_first, lambda *_: [])
    monkeypatch.setattr(quix, "_ASK_S", 0.2)
    where = f"127.0.0.1:{free_port()}"
    settings = Settings({"KAFKA_BOOTSTRAP_SERVERS": where, "STATE_DIR": str(tmp_path)})
    process, watch = Process("process-p"), ReaderWatch(settings.kafka, STAGE.name)

    with pytest.raises(KafkaAwayError, match=f"Kafka at {where}"):
        quix.build(STAGE, cast("Worker", None), settings, process, Log("ticks", 4, "1f"), watch)

    watch.close()
