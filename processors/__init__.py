"""Stream processors on Quix Streams over the pure functions in `processors.analytics`."""
