"""The HTTP server that our small servers stand on: one thread a request, and no trace of Python in a log of events."""

from __future__ import annotations

import sys
from http.server import ThreadingHTTPServer

from kernel.logs import get_logger

log = get_logger(__name__)


class HttpServer(ThreadingHTTPServer):
    """Ends with its process, whatever its requests do."""

    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """Who asks and hangs up before the answer, as a scraper does whose time is over, is no news."""
        error = sys.exception()
        if not isinstance(error, ConnectionError):
            log.warning("answer_failed", asked_by=client_address, error=repr(error))
