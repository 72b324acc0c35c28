"""Stream processors on Quix Streams over the pure functions in `processors.analytics`. Its steps are compiled, too."""

from schemas.compiled import search_path

__path__ = search_path(__name__, list(__path__))
