"""The one-machine stack: a Kafka broker, a schema registry and a ClickHouse engine, all on the loopback address."""
