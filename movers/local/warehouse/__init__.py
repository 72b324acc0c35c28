"""The ClickHouse engine behind a loopback service that speaks ClickHouse's HTTP."""
