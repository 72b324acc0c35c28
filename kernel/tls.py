"""What TLS failures say to a person."""

from __future__ import annotations

import ssl


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
