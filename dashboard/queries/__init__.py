"""SQL the dashboard asks, one question a file, with bound parameters."""

BOARD_MAX_AGE_S = 300
"""A market whose newest move is older than this, and than the window, is left off the board of now."""
