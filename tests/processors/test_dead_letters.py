from __future__ import annotations

import pytest

from kernel.errors import TooMuchBadInputError
from processors.dead_letters import BadInputLimit


def test_a_few_bad_messages_at_the_start_are_tolerated() -> None:
    limit = BadInputLimit(max_share=0.5, window=1000, at_least=100)

    for _ in range(99):
        limit.bad()

    with pytest.raises(TooMuchBadInputError, match="100 of the last 100"):
        limit.bad()


def test_half_is_tolerated_and_more_is_not() -> None:
    limit = BadInputLimit(max_share=0.5, window=10, at_least=10)

    for _ in range(50):
        limit.good()
        limit.bad()

    with pytest.raises(TooMuchBadInputError, match="6 of the last 10"):
        limit.bad()


def test_old_messages_are_forgotten() -> None:
    limit = BadInputLimit(max_share=0.5, window=10, at_least=10)
    for _ in range(1000):
        limit.good()

    for _ in range(5):
        limit.bad()

    with pytest.raises(TooMuchBadInputError):
        limit.bad()
