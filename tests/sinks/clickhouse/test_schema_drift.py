from __future__ import annotations

import pytest

from sinks.clickhouse.rows import TABLES, Table
from sinks.clickhouse.store import Store

pytestmark = pytest.mark.stack


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
def test_rows_name_every_column_that_has_no_default(store: Store, table: Table) -> None:
    columns = store.rows(
        "SELECT name FROM system.columns WHERE database = currentDatabase() AND table = %(table)s"
        " AND default_kind = '' ORDER BY position",
        {"table": table.name},
    )

    assert [name for (name,) in columns] == list(table.columns)
