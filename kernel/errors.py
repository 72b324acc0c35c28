"""Errors with a meaning: what a user can mend, what may pass by itself, what a message did wrong."""

from __future__ import annotations


class MoversError(Exception):
    """Root of our own errors."""


class UserError(MoversError):
    """Something the person at the keyboard can mend. The text is one clear line; the CLI prints it, exit code 2."""


class TransientError(MoversError):
    """May pass by itself: retry with backoff. `need` says in one word what is away."""

    need = "peer"


class KafkaAwayError(TransientError):
    """Kafka does not answer, or takes nothing now."""

    need = "kafka"


class StoreAwayError(TransientError):
    """ClickHouse does not answer, or cannot now."""

    need = "store"


class RegistryAwayError(TransientError):
    """The schema registry does not answer."""

    need = "registry"


class PermanentError(MoversError):
    """Will not pass by itself: do not retry."""


class BadMessageError(MoversError):
    """A message that cannot be used. It goes to `dead.letters` under `reason`.

    Args:
        reason: short code, snake_case, from a small fixed set (it is a metric label).
        detail: one readable sentence.
        body: the bytes, or the part of them, that were refused.
    """

    def __init__(self, reason: str, detail: str, body: bytes = b"") -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail
        self.body = body


class TooMuchBadInputError(MoversError):
    """The share of bad input passed the limit: going on would publish nonsense or nothing. The process stops."""
