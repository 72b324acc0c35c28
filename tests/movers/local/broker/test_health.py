from __future__ import annotations

import pytest

from kernel.logs import configure
from movers.local.broker import health


def test_what_a_client_says_while_the_broker_comes_up_is_no_line_of_ours(capsys: pytest.CaptureFixture[str]) -> None:
    """Setting up our logs gives each logger that exists our output."""
    configure(process="supervisor")

    health._SILENT.warning("GETPID [rdkafka#producer-4]: retrying")

    assert capsys.readouterr().err == ""
