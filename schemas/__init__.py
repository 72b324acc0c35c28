"""What crosses the wire: topics, Avro schemas, events, units. Every other package imports this one; it imports none."""

from schemas.compiled import search_path

__path__ = search_path(__name__, list(__path__))
