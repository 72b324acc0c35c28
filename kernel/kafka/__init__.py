"""Kafka as we use it: how we get in, a publisher that loses nothing, topics, plain readers."""
