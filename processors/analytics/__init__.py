"""What a move, a bar and an alert are: pure functions, no Kafka, no clock, no I/O."""
