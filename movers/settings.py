"""All settings there are: what the kernel's processes share, and what each venue adds."""

from __future__ import annotations

from collections.abc import Mapping

from dashboard.settings import DashboardSettings
from kernel import settings as kernel
from kernel.settings import Group, Settings

_SHARED: tuple[type[Group], ...] = (
    kernel.KafkaSettings,
    kernel.ClickHouseSettings,
    kernel.CollectorSettings,
    kernel.RuleSettings,
    kernel.ProcessSettings,
)


def groups() -> tuple[type[Group], ...]:
    """Every group, in the order in which they are documented."""
    from producers.registry import VENUES  # a quarter of a second, which most commands need not wait

    return (
        *_SHARED[:3],
        *(venue.settings for venue in VENUES.values()),
        *_SHARED[3:],
        DashboardSettings,
    )


def load(overrides: Mapping[str, str] | None = None) -> Settings:
    """The settings in force, each looked at.

    Raises:
        UserError: a value does not fit, or `.env` holds a key that nobody knows.
    """
    settings = kernel.load(overrides)
    kernel.refuse_unknown(groups)
    for group in _SHARED:
        settings.of(group)
    return settings
