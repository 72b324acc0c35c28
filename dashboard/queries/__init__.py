"""SQL the dashboard asks, one question a file, with bound parameters."""
