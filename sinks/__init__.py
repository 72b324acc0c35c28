"""Where events end: the ClickHouse sink and, later, notifiers."""
