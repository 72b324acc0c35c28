"""The analytics under a name and over an input topic of its own, so that tests share a broker and nothing else.

    python -m tests.processors.isolated NAME [POINT N [PID]]

With a point it kills itself (SIGKILL) the Nth time it gets there: before or after a checkpoint's messages are flushed
to Kafka, before or after its offsets are committed; with a process's number it suspends that one there, Kafka say. On
SIGUSR1 its client stops reading.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from quixstreams.internal_consumer import InternalConsumer
from quixstreams.internal_producer import InternalProducer

from kernel import logs, settings, stall
from processors.analytics_app import PROCESSOR, STAGE
from processors.quix import run
from processors.step import Processor
from schemas.topics import TICKS

POINTS = ("before_flush", "after_flush", "before_commit", "after_commit")


def topic_of(name: str) -> str:
    """Its input topic."""
    return f"ticks.{name}"


def strike_at(point: str, number: int, pid: str) -> None:
    """Arms the point."""
    victim, blow = (int(pid), signal.SIGSTOP) if pid else (os.getpid(), signal.SIGKILL)
    when, what = point.split("_")
    owner, method = (InternalProducer, "flush") if what == "flush" else (InternalConsumer, "commit")
    real: Callable[..., Any] = getattr(owner, method)
    seen = 0

    def watched(*args: Any, **kwargs: Any) -> Any:
        nonlocal seen
        seen += 1
        if when == "before" and seen == number:
            os.kill(victim, blow)
        result = real(*args, **kwargs)
        if when == "after" and seen == number:
            os.kill(victim, blow)
        return result

    setattr(owner, method, watched)


def stop_reading_on_signal() -> None:
    """As a client that lost its partitions' leader for good: connected, a member of its group, and nothing comes."""
    stall.PATIENCE_S = 3.0
    asked = threading.Event()
    signal.signal(signal.SIGUSR1, lambda *_: asked.set())
    real: Callable[..., Any] = InternalConsumer.poll

    def poll(consumer: InternalConsumer, *args: Any, **kwargs: Any) -> Any:
        if asked.is_set():
            asked.clear()
            consumer.pause(consumer.assignment())
            logs.get_logger(__name__).info("stopped_reading")
        return real(consumer, *args, **kwargs)

    InternalConsumer.poll = poll


def main(name: str, point: str = "", number: str = "3", pid: str = "") -> None:
    """See the module."""
    logs.configure("info", process=name)
    stop_reading_on_signal()
    if point:
        strike_at(point, int(number), pid)
    stage = replace(STAGE, name=name, input=replace(TICKS, name=topic_of(name)))
    run(Processor(stage=stage, start=PROCESSOR.start), settings.load())


if __name__ == "__main__":
    main(*sys.argv[1:])
