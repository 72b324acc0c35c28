"""Finding and claiming TCP ports on the loopback address, so that nobody talks to somebody else's service."""

from __future__ import annotations

import errno
import socket

from kernel.errors import UserError

LOOPBACK = "127.0.0.1"


def free_port() -> int:
    """A TCP port (1024..65535) that nobody listens on at this moment."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.bind((LOOPBACK, 0))
        port: int = probe.getsockname()[1]
        return port


def is_free(port: int) -> bool:
    """Whether a service of ours could listen on `port` now."""
    try:
        listen(port, "probe").close()
    except UserError:
        return False
    return True


def require_free(port: int, what: str) -> None:
    """Raises UserError, naming `what` needs the port, when it is taken or not allowed."""
    listen(port, what).close()


def choose_port(default: int, what: str, asked: int | None = None) -> int:
    """The port to use: the one the user asked for or an error; else the default, or any free one when that is taken."""
    if asked is not None:
        require_free(asked, what)
        return asked
    return default if is_free(default) else free_port()


def listen(port: int, what: str) -> socket.socket:
    """A listening socket on 127.0.0.1:`port`.

    Somebody who listens on all addresses would still get the loopback traffic of other clients, so a connect
    that succeeds counts as taken as well.
    """
    if not 0 <= port <= 65535:
        raise UserError(f"port {port} ({what}) is not a port number; use 1 to 65535")
    if port and accepts(port):
        raise UserError(f"port {port} ({what}) is in use; stop what listens there or choose another port")
    sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        # Accepted connections inherit it; without, a small answer after its headers waits 40 ms for an ACK.
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind((LOOPBACK, port))
        sock.listen(128)
    except OSError as error:
        sock.close()
        if error.errno == errno.EACCES:
            raise UserError(f"port {port} ({what}) needs more rights; choose one above 1023") from None
        raise UserError(f"port {port} ({what}) is in use; stop what listens there or choose another port") from None
    return sock


def accepts(port: int) -> bool:
    """Whether somebody on the loopback address takes connections at `port` now."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.settimeout(0.5)
        return probe.connect_ex((LOOPBACK, port)) == 0
