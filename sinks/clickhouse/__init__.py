"""The ClickHouse sink: migrations, rows, batches fenced by offset."""
