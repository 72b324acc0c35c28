from __future__ import annotations

import pytest

from sinks.clickhouse.rows import TABLES, Table
from sinks.clickhouse.store import Store

pytestmark = pytest.mark.stack


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
def test_rows_name_every_column_that_has_no_default(store: Store, table: Table) -> None:
    columns = store.rows(
        "SELECT name, default_kind FROM system.columns WHERE database = currentDatabase() AND table = %(table)s",
        {"table": table.name},
    )

    assert {name for name, default in columns if not default} <= set(table.columns) <= {name for name, _ in columns}
