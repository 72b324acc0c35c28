"""One real Kafka node of our own: its jars, its Java, its life."""
