"""A port that one test was given is no other one's."""

from __future__ import annotations

import socket
import subprocess
import sys

from tests.stack.environment import child_environment
from tests.stack.ports import free_port
from tests.stack.processes import REPO

OTHERS = range(19_600, 19_700)
ASKS = """
import sys
from tests.stack import ports
ports._ports = iter(int(port) for port in sys.argv[1:])
print(ports.free_port())
"""


def asked_by_another(*ports: int) -> int:
    """The first of these ports that another process of tests is given."""
    command = [sys.executable, "-c", ASKS, *map(str, ports)]
    done = subprocess.run(command, cwd=REPO, env=child_environment(), capture_output=True, text=True, check=True)
    return int(done.stdout)


def test_a_port_that_was_given_and_is_not_listened_on_yet_is_given_to_no_other_process() -> None:
    mine = free_port()
    with socket.create_server(("127.0.0.1", mine)):
        pass

    assert asked_by_another(mine, *OTHERS) in OTHERS


def test_a_port_that_somebody_listens_on_is_not_given() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        taken = int(other.getsockname()[1])

        assert asked_by_another(taken, *OTHERS) in OTHERS
