"""A real browser over a real dashboard process, over the seeded world."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import httpx
import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, sync_playwright

from dashboard.launch import argv
from kernel.settings import Settings
from tests.dashboard.fixtures import begun, seeded, young
from tests.stack.ports import free_port
from tests.stack.processes import (
    KafkaProcess,
    ServiceProcess,
    child_environment,
    kafka_stack,
    registry,
    stack_dir,
    warehouse,
)
from tests.stack.waiting import wait_until

__all__ = ["begun", "kafka_stack", "registry", "seeded", "stack_dir", "warehouse", "young"]

_NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
_ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--no-first-run",
]


@dataclass
class DashboardProcess:
    """A running dashboard, started the way the product starts it."""

    url: str
    process: subprocess.Popen[bytes]
    log: Path


@dataclass
class Visit:
    """One page in a browser, and what its console complained of."""

    page: Page
    errors: list[str] = field(default_factory=list)


class StartDashboard(Protocol):
    """Starts a dashboard over a database, with more settings if need be."""

    def __call__(self, database: str, **more: str) -> DashboardProcess: ...


OpenPage = Callable[[str, int], Visit]


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    """Chromium of this machine; skips where there is none. Never downloads one."""
    path = next(filter(None, map(shutil.which, _NAMES)), None)
    if path is None:
        pytest.skip(f"no Chromium on this machine (looked for {', '.join(_NAMES)})")
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=path, args=_ARGUMENTS)
        yield chromium
        chromium.close()


@pytest.fixture(scope="package")
def start_dashboard(
    stack_dir: Path, warehouse: ServiceProcess, kafka_stack: KafkaProcess, registry: ServiceProcess
) -> Iterator[StartDashboard]:
    """Starts a dashboard over a database of the warehouse; one process a database and settings, stopped at the end."""
    running: dict[str, DashboardProcess] = {}

    def start(database: str, **more: str) -> DashboardProcess:
        name = "-".join((database, *sorted(more)))
        if name not in running:
            environment = {
                "CLICKHOUSE_PORT": str(warehouse.port),
                "CLICKHOUSE_DATABASE": database,
                "KAFKA_BOOTSTRAP_SERVERS": kafka_stack.bootstrap,
                "SCHEMA_REGISTRY_URL": registry.url,
                "DASHBOARD_PORT": str(free_port()),
                **more,
            }
            running[name] = _start(environment, stack_dir / f"{name}.log")
        return running[name]

    yield start
    for dashboard in running.values():
        dashboard.process.terminate()
        dashboard.process.wait(90)


def _start(environment: dict[str, str], log: Path) -> DashboardProcess:
    command = [sys.executable, *argv(Settings(environment))]
    with log.open("wb") as output:
        process = subprocess.Popen(command, env=child_environment(environment), stdout=output, stderr=output)
    url = f"http://127.0.0.1:{environment['DASHBOARD_PORT']}"

    def is_up() -> bool:
        try:
            return httpx.get(f"{url}/_stcore/health", trust_env=False, timeout=60).status_code == 200
        except httpx.TransportError:
            return process.poll() is not None

    wait_until(is_up, "the dashboard answers")
    assert process.poll() is None, log.read_text()[-800:]
    return DashboardProcess(url, process, log)


@pytest.fixture
def open_page(browser: Browser) -> Iterator[OpenPage]:
    """Opens an address in a window so wide, and gathers errors of its console."""
    visits: list[Visit] = []

    def open_(url: str, width: int = 1400) -> Visit:
        page = browser.new_context(viewport={"width": width, "height": 900}).new_page()
        visit = Visit(page)

        def note(message: ConsoleMessage) -> None:
            if message.type == "error":
                visit.errors.append(message.text)

        page.on("console", note)
        page.on("pageerror", lambda error: visit.errors.append(str(error)))
        page.goto(url)
        visits.append(visit)
        return visit

    yield open_
    for visit in visits:
        visit.page.context.close()
