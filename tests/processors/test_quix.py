"""What the client of a processor is told to do beside reading; the whole of it is in test_apps and test_bad_day."""

from __future__ import annotations

from typing import cast

import pytest

from kernel.process import Process
from kernel.reader_watch import ReaderWatch
from kernel.settings import Settings
from processors.quix import _consumer_config


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
