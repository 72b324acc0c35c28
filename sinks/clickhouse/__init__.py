"""The ClickHouse sink: migrations, rows, batches fenced by offset."""

from schemas.compiled import search_path

__path__ = search_path(__name__, list(__path__))
