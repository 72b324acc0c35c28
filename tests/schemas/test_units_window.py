from __future__ import annotations

import pytest

from schemas.units import window_label


@pytest.mark.parametrize(
    ("window_s", "label"), [(300, "5m"), (900, "15m"), (3600, "1h"), (86_400, "24h"), (600, "600s"), (60, "60s")]
)
def test_window_has_the_label_that_is_stored_and_shown(window_s: int, label: str) -> None:
    assert window_label(window_s) == label
