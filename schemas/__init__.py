"""What crosses the wire: topics, Avro schemas, events, units. Every other package imports this one; it imports none."""
