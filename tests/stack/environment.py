"""The environment of a process that a test starts: the test's own, with the settings that it names. The one place."""

from __future__ import annotations

import os
from collections.abc import Mapping


def child_environment(*settings: Mapping[str, str]) -> dict[str, str]:
    """This process's environment and, over it, the given settings; later ones win."""
    environment = dict(os.environ)
    for some in settings:
        environment.update(some)
    return environment
