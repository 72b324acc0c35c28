"""The store's client: one way to connect, for server, cluster and the one-machine warehouse alike."""

from __future__ import annotations

import logging

import clickhouse_connect
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import DatabaseError, OperationalError

from kernel.errors import StoreAwayError, UserError
from kernel.settings import ClickHouseRole, ClickHouseSettings
from kernel.tls import certificate_refusal

# Each warns at each try that fails: that it did tells who asked, once.
for _library in ("clickhouse_connect", "urllib3.connectionpool"):
    logging.getLogger(_library).setLevel(logging.ERROR)


def connect(
    settings: ClickHouseSettings,
    *,
    client_name: str,
    role: ClickHouseRole,
    database: str | None = None,
    silence_s: int = 120,
) -> Client:
    """A client on our database (or another one), with the user of a role.

    One client per thread: it keeps no session between queries.

    Args:
        silence_s: after so long without a byte of an answer the store counts as away.

    Raises:
        StoreAwayError: nothing answers there yet.
        UserError: something answers and refuses (wrong password, unknown database), or its certificate is refused.
    """
    user, password = settings.login(role)
    where = f"{settings.clickhouse_host}:{settings.clickhouse_port}"
    try:
        return clickhouse_connect.get_client(
            host=settings.clickhouse_host,
            port=settings.clickhouse_port,
            username=user,
            password=password,
            interface="https" if settings.clickhouse_secure else "http",
            ca_cert=str(settings.clickhouse_ca_file) if settings.clickhouse_ca_file else None,
            database=settings.clickhouse_database if database is None else database,
            client_name=f"movers-{client_name}",
            autogenerate_session_id=False,
            connect_timeout=5,
            send_receive_timeout=silence_s,
        )
    except OperationalError as error:
        if refusal := certificate_refusal(error):
            raise UserError(f"ClickHouse at {where}: its certificate is refused: {refusal}") from error
        raise StoreAwayError(f"ClickHouse at {where} does not answer") from error
    except DatabaseError as error:
        raise UserError(f"ClickHouse at {where} refuses: {str(error).splitlines()[0]}") from error
