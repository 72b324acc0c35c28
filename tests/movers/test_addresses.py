from __future__ import annotations

import pytest

from kernel.errors import UserError
from kernel.settings import ClickHouseSettings, KafkaSettings, Settings
from movers.addresses import PROCESSES, Addresses, choose_addresses
from movers.local.ports import free_port, listen


def ports(chosen: Addresses) -> list[int]:
    fixed = (chosen.kafka, chosen.kafka_controller, chosen.registry, chosen.warehouse, chosen.simulator)
    return [*fixed, chosen.dashboard, *chosen.metrics.values()]


def test_every_part_of_a_run_has_a_port_of_its_own() -> None:
    chosen = choose_addresses(Settings({"DASHBOARD_PORT": str(free_port())}))

    assert len(set(ports(chosen))) == len(ports(chosen))
    assert list(chosen.metrics) == list(PROCESSES)


def test_a_port_that_somebody_has_is_replaced_by_a_free_one() -> None:
    first = choose_addresses(Settings({}))
    taken = [listen(port, "test") for port in (first.kafka, first.warehouse, first.dashboard)]
    try:
        second = choose_addresses(Settings({}))
    finally:
        for held in taken:
            held.close()

    assert not {first.kafka, first.warehouse, first.dashboard} & set(ports(second))


def test_a_dashboard_port_asked_for_by_name_is_that_or_an_error() -> None:
    port = free_port()

    assert choose_addresses(Settings({"DASHBOARD_PORT": str(port)})).dashboard == port
    with listen(port, "test"), pytest.raises(UserError, match=f"port {port} \\(dashboard\\) is in use"):
        choose_addresses(Settings({"DASHBOARD_PORT": str(port)}))


def test_the_settings_of_a_run_lead_its_processes_to_it() -> None:
    chosen = choose_addresses(Settings({}))

    led = Settings(chosen.environment())
    kafka: KafkaSettings = led.kafka
    store: ClickHouseSettings = led.clickhouse
    assert kafka.kafka_bootstrap_servers == f"127.0.0.1:{chosen.kafka}"
    assert (store.clickhouse_host, store.clickhouse_port) == ("127.0.0.1", chosen.warehouse)
    assert led.process.dashboard_port == chosen.dashboard


def test_simulated_venues_are_reached_at_the_simulators_port_alone() -> None:
    chosen = choose_addresses(Settings({}))

    urls = [value for name, value in chosen.simulated_venues().items() if name.endswith("_URL")]
    assert len(urls) == 6
    assert all(url.split("/")[2] == f"127.0.0.1:{chosen.simulator}" for url in urls)
