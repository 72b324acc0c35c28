"""The environment of a process that a test starts. The one place."""

from __future__ import annotations

import os
from collections.abc import Mapping

_KEPT = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "TZ", "JAVA_HOME", "VIRTUAL_ENV")
_KEPT_PREFIXES = ("PYTHON", "COVERAGE", "PIP_", "JGO_")
_CERTIFICATES = ("SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")
"""Whom a download trusts: the first program of a fresh checkout fetches Kafka."""
_PROXIES = ("http_proxy", "https_proxy", "no_proxy")


def child_environment(*settings: Mapping[str, str]) -> dict[str, str]:
    """What any program needs of this process's environment and, over it, the given settings; later ones win.

    Settings of ours that happen to stand in the tests' own environment do not reach a child.
    """
    kept = {
        name: value
        for name, value in os.environ.items()
        if name in (*_KEPT, *_CERTIFICATES) or name.lower() in _PROXIES or name.startswith(_KEPT_PREFIXES)
    }
    for some in settings:
        kept |= some
    return kept
