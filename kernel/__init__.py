"""How any process of ours runs: settings, logs, errors, clock, metrics, and the clients of Kafka and the store."""
