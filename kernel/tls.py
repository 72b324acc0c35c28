"""What TLS failures say to a person."""

from __future__ import annotations

import socket
import ssl
from pathlib import Path


def certificate_refusal(error: BaseException) -> str:
    """Why a server's certificate was refused, in OpenSSL's words; empty when that was not the trouble."""
    seen: BaseException | None = error
    for _ in range(10):
        if isinstance(seen, ssl.SSLCertVerificationError):
            return seen.verify_message
        if isinstance(seen, ssl.SSLError):
            return seen.reason or "TLS failed"
        if seen is None:
            break
        inner = next((arg for arg in seen.args if isinstance(arg, BaseException)), None)
        reason = getattr(seen, "reason", None)
        seen = inner or (reason if isinstance(reason, BaseException) else None) or seen.__cause__ or seen.__context__
    return ""


def certificate_trouble(address: str, ca_file: Path | None, timeout_s: float = 5.0) -> str:
    """Asks a server (host:port) for its certificate, to learn why it is refused; empty when it is not.

    For libraries that do not tell: librdkafka says of an expired certificate only that it cannot be verified.
    """
    host, _, port = address.rpartition(":")
    context = ssl.create_default_context(cafile=None if ca_file is None else str(ca_file))
    try:
        with (
            socket.create_connection((host.strip("[]"), int(port)), timeout_s) as plain,
            context.wrap_socket(plain, server_hostname=host.strip("[]")),
        ):
            return ""
    except ssl.SSLError as error:
        return certificate_refusal(error)
    except (OSError, ValueError):
        return ""
