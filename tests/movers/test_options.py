"""How a duration is read."""

from __future__ import annotations

import pytest

from kernel.errors import UserError
from movers.options import duration_s


@pytest.mark.parametrize(("text", "seconds"), [("0s", 0), ("90s", 90), ("10m", 600), ("2h", 7_200), ("1d", 86_400)])
def test_a_duration_is_a_number_and_a_unit(text: str, seconds: float) -> None:
    assert duration_s("--since", text) == seconds


@pytest.mark.parametrize("text", ["", "90", "h", "-1h", "1.5h", "1w", "1h30m", "1234567s"])
def test_what_is_no_duration_is_refused_by_the_name_of_its_option(text: str) -> None:
    with pytest.raises(UserError, match="--since wants a duration"):
        duration_s("--since", text)
