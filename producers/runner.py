"""Runs one venue's collector: metadata, sweeps and hot polls, each at its own pace, until told to stop."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Mapping
from typing import Any

from kernel import metrics
from kernel.clock import Clock, SystemClock
from kernel.errors import TransientError
from kernel.logs import get_logger
from kernel.schema_registry import SchemaRegistry
from kernel.settings import Settings
from producers.jobs import Jobs
from producers.outbox import Outbox
from producers.registry import VENUES
from producers.spill import Spill

log = get_logger(__name__)

FLUSH_S = 30.0
_TURN_S = 0.2
_BUSY_TURN_S = 0.01
_REGISTRY_PATIENCE_S = 60.0


def run(settings: Settings, venue: str) -> None:
    """Collects a venue until SIGTERM or SIGINT, then hands everything to Kafka or the spill, and returns.

    Raises:
        UserError: a schema is not registered, the spill folder cannot be written, or the port is taken.
        TransientError: no schema registry.
        TooMuchBadInputError: most of what the venue answers cannot be used.
    """
    clock = SystemClock()
    registry = SchemaRegistry(settings.kafka.schema_registry_url)
    spill = Spill(settings.collector.spill_dir / venue)
    outbox = Outbox(venue, settings.kafka.kafka_bootstrap_servers, registry, spill, clock)
    jobs = Jobs(VENUES[venue](settings, outbox, clock), settings.collector, outbox, clock)
    heartbeat = metrics.Heartbeat()

    def health() -> Mapping[str, Any]:
        return {**heartbeat.health(), **jobs.health()}

    server = metrics.serve(settings.process.metrics_port, health)
    try:
        asyncio.run(collect(jobs, outbox, heartbeat, clock))
    finally:
        outbox.close(FLUSH_S)
        registry.close()
        if server is not None:
            server.shutdown()
            server.server_close()
    log.info("producer_stopped", venue=venue)


async def collect(jobs: Jobs, outbox: Outbox, heartbeat: metrics.Heartbeat, clock: Clock) -> None:
    """Starts the jobs, turns the loop, and stops them in order on a signal or when one of them fails."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    stopped = asyncio.create_task(stop.wait())
    if not await _registry_answers(outbox, heartbeat, clock, stop):
        return
    await outbox.pump()  # what was spilled goes before anything new
    running = [asyncio.create_task(job) for job in jobs.loops()]
    running.append(asyncio.create_task(_turn(jobs, outbox, heartbeat, clock)))
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


async def _registry_answers(outbox: Outbox, heartbeat: metrics.Heartbeat, clock: Clock, stop: asyncio.Event) -> bool:
    """Waits for the schema registry, which may start beside us. False when told to stop meanwhile."""
    deadline = clock.monotonic_s() + _REGISTRY_PATIENCE_S
    while not stop.is_set():
        try:
            await asyncio.to_thread(outbox.warm_up)
        except TransientError as error:
            if clock.monotonic_s() > deadline:
                raise
            log.warning("registry_away", error=str(error))
            heartbeat.beat()
            await clock.sleep(1.0)
        else:
            return True
    return False


async def _turn(jobs: Jobs, outbox: Outbox, heartbeat: metrics.Heartbeat, clock: Clock) -> None:
    """Serves delivery reports and notices gaps, a few times a second."""
    while True:
        await outbox.pump()
        jobs.watch()
        heartbeat.beat()
        # Delivery reports are what the lag is measured by, so they are not kept waiting.
        await clock.sleep(_BUSY_TURN_S if outbox.pending else _TURN_S)
