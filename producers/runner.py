"""Runs one venue's collector: metadata, sweeps and hot polls, each at its own pace, until told to stop."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any

from kernel.clock import Clock, SystemClock
from kernel.kafka.link import LinkWatch
from kernel.logs import get_logger
from kernel.process import Process, living
from kernel.schema_registry import SchemaRegistry
from kernel.settings import Settings
from producers.before import Before, Mark, SeenUntil, read_before
from producers.jobs import Jobs
from producers.letting_go import let_go_for_ever, settled_before
from producers.outbox import Outbox
from producers.registry import VENUES
from producers.shards import Shard, lock
from producers.spill import Spill

log = get_logger(__name__)

FLUSH_S = 8.0
"""The supervisor waits 20 s for a child to end; what Kafka has not taken by then is in the spill."""

_MARK_EVERY_S = 1.0
_OPEN_MARKS = 1
"""Marks that may be open while all is well: what was published just before one may still be on its way."""

_TURN_S = 0.2
_BUSY_TURN_S = 0.01


def run(settings: Settings, shard: Shard) -> None:
    """Collects a venue, or a part of it, until SIGTERM or SIGINT; hands everything to Kafka or the spill, and returns.

    Raises:
        UserError: a schema is not registered, the spill folder cannot be written, the metrics port is taken, or
            another process of this machine collects the same.
        TooMuchBadInputError: most of what the venue answers cannot be used.
    """
    clock = SystemClock()
    kafka = settings.kafka
    folder = settings.collector.spill_dir / shard.name
    with living(f"produce-{shard.name}", settings.process) as process, lock(folder, shard):
        registry = SchemaRegistry.of(kafka)
        spill = Spill(folder, settings.collector.spill_max_mib * 1024**2)
        # Without Kafka a producer works on: the spill keeps what it has.
        watch = LinkWatch(process, f"producer-{shard.name}", kafka.kafka_bootstrap_servers, can_work=True)
        outbox = Outbox(shard, kafka, registry, spill, clock, watch=watch)
        collector = VENUES[shard.venue].collector(settings, shard, outbox, clock)
        seen = SeenUntil(folder)
        jobs = Jobs(
            collector, settings.collector, settings.process.max_bad_share, outbox, clock, shard,
            first_seen=lambda first_us: seen.write(Mark(first_us, begun=True)),
        )  # fmt: skip
        process.add_facts(jobs.health)
        try:
            before = partial(read_before, shard, kafka, registry, seen)
            find, days = partial(settled_before, shard, kafka, registry), settings.collector.markets_topic_days
            letting_go = partial(let_go_for_ever, find, days, jobs.tracked, outbox, clock)
            asyncio.run(collect(jobs, outbox, process, clock, before, seen, letting_go))
        finally:
            outbox.close(FLUSH_S)
            if jobs.seen_until_us is not None:
                # Ended in order: nothing is in anybody's memory.
                seen.write(Mark(jobs.seen_until_us, jobs.promise_s))
            registry.close()


async def collect(
    jobs: Jobs,
    outbox: Outbox,
    process: Process,
    clock: Clock,
    before: Callable[[], Before],
    seen: SeenUntil,
    letting_go: Callable[[], Coroutine[Any, Any, None]] | None = None,
) -> None:
    """Starts the jobs, turns the loop, and stops them in order when told to or when one of them fails.

    `letting_go`: what else is done as long as the jobs run.
    """
    stopped = asyncio.create_task(_told(process))
    await asyncio.to_thread(process.until, outbox.warm_up)
    await outbox.pump()  # what was spilled goes before anything new
    await jobs.remember(await asyncio.to_thread(before))
    running = [asyncio.create_task(job) for job in jobs.loops()]
    running.append(asyncio.create_task(_turn(jobs, outbox, process, clock, seen)))
    running += [] if letting_go is None else [asyncio.create_task(letting_go())]
    try:
        done, _ = await asyncio.wait([stopped, *running], return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            if task is not stopped:
                task.result()
    finally:
        for task in (stopped, *running):
            task.cancel()
        await asyncio.gather(stopped, *running, return_exceptions=True)
        await jobs.close()


async def _told(process: Process) -> None:
    """Returns when the process is told to stop."""
    stop, loop = asyncio.Event(), asyncio.get_running_loop()

    def tell() -> None:
        with contextlib.suppress(RuntimeError):  # the loop is over already
            loop.call_soon_threadsafe(stop.set)

    process.on_stop(tell)
    if not process.stopping.is_set():
        await stop.wait()


def mark(jobs: Jobs, outbox: Outbox, seen: SeenUntil) -> None:
    """Writes down until when all that was seen would outlive a kill -9 of this process."""
    if jobs.seen_until_us is None:
        return
    settled = outbox.settled(jobs.seen_until_us)
    if settled.until_us is not None:
        seen.write(Mark(settled.until_us, jobs.promise_s, settled.open_moments > _OPEN_MARKS))


async def _turn(jobs: Jobs, outbox: Outbox, process: Process, clock: Clock, seen: SeenUntil) -> None:
    """Serves delivery reports and notices gaps, a few times a second."""
    marked_s = 0.0
    while True:
        await outbox.pump()
        jobs.watch()
        if clock.monotonic_s() - marked_s >= _MARK_EVERY_S:
            marked_s = clock.monotonic_s()
            mark(jobs, outbox, seen)
        process.beat()
        # Delivery reports are what the lag is measured by, so they are not kept waiting.
        await clock.sleep(_BUSY_TURN_S if outbox.pending else _TURN_S)
