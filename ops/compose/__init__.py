"""Behind `make compose` and `make compose-check`."""
