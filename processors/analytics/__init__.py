"""What a move, a bar and an alert are: pure functions, no Kafka, no clock, no I/O. Compiled where a compiler is."""

from schemas.compiled import search_path

__path__ = search_path(__name__, list(__path__))
