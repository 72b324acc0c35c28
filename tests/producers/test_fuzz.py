"""Whatever a venue's answers become, nothing escapes the intake, and nothing it publishes breaks the schema.

`python -m bench.fuzz` does the same with as many as one likes.
"""

from __future__ import annotations

import pytest

from producers.registry import VENUES
from tests.producers.fuzzing import fuzz

MUTANTS = 2_500


@pytest.mark.parametrize("venue", VENUES)
def test_mutated_answers_are_published_or_refused_and_nothing_else_happens(venue: str) -> None:
    result = fuzz(venue, MUTANTS, seed=20_261_124)

    assert result.played == MUTANTS
    assert result.ticks > MUTANTS // 2
    assert result.refused > MUTANTS // 50
    assert result.unread > 0
