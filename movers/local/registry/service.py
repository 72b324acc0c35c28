"""The schema registry of one machine: the Confluent REST subset that our clients use, on the loopback address.

    python -m movers.local.registry.service --port 8081 --data .movers/registry

Avro only; no references between schemas; nothing is ever deleted.
"""

from __future__ import annotations

import argparse
import json
import re
import signal
import sys
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from kernel import logs
from kernel.errors import UserError
from kernel.http_server import HttpServer
from movers.local import ports
from movers.local.folders import FolderLock, prepare_folder
from movers.local.registry.store import Registered, RegistryError, Store
from movers.local.same_site import is_from_here

MAX_BODY_BYTES = 4 << 20
_MEDIA_TYPE = "application/vnd.schemaregistry.v1+json"

log = logs.get_logger("movers.local.registry.service")

Body = dict[str, Any]
Handler = Callable[[Store, Body, dict[str, str], list[str]], Any]


def _schema_text(body: Body) -> str:
    schema = body.get("schema")
    if not isinstance(schema, str):
        raise RegistryError(422, 42201, "Empty schema")
    if body.get("schemaType", "AVRO") not in ("AVRO", None):
        raise RegistryError(422, 42201, f"Schema type {body['schemaType']} is not supported here, only AVRO")
    if body.get("references"):
        raise RegistryError(422, 42201, "References between schemas are not supported here")
    return schema


def _as_json(one: Registered) -> Body:
    return {"subject": one.subject, "version": one.version, "id": one.schema_id, "schema": one.schema}


def _schema_id(text: str) -> int:
    if not text.isdecimal():
        raise RegistryError(404, 40403, f"Schema {text} not found")
    return int(text)


def _config_put(store: Store, body: Body, _query: dict[str, str], path: list[str]) -> Body:
    level = str(body.get("compatibility", "")).upper()
    store.set_level(path[0] if path else "", level)
    return {"compatibility": level}


def _config_get(store: Store, _body: Body, query: dict[str, str], path: list[str]) -> Body:
    inherit = query.get("defaultToGlobal", "false").lower() == "true"
    return {"compatibilityLevel": store.level(path[0] if path else "", inherit=inherit)}


def _compatibility(store: Store, body: Body, query: dict[str, str], path: list[str]) -> Body:
    found = store.check(path[0], _schema_text(body), path[1] if len(path) > 1 else None)
    verbose = query.get("verbose", "false").lower() == "true"
    return {"is_compatible": not found, **({"messages": found} if verbose else {})}


_ROUTES: list[tuple[str, str, Handler]] = [
    ("GET", r"/", lambda *_: {}),
    ("GET", r"/subjects", lambda store, *_: store.subjects()),
    ("GET", r"/subjects/([^/]+)/versions", lambda store, _b, _q, path: store.versions(path[0])),
    ("POST", r"/subjects/([^/]+)/versions", lambda store, b, _q, path: _register(store, b, path)),
    ("GET", r"/subjects/([^/]+)/versions/([^/]+)", lambda store, _b, _q, path: _as_json(store.get(*path))),
    (
        "GET",
        r"/subjects/([^/]+)/versions/([^/]+)/schema",
        lambda store, _b, _q, path: json.loads(store.get(*path).schema),
    ),
    ("POST", r"/subjects/([^/]+)", lambda store, b, _q, path: _as_json(store.find(path[0], _schema_text(b)))),
    ("GET", r"/schemas/types", lambda *_: ["AVRO"]),
    ("GET", r"/schemas/ids/([^/]+)", lambda store, _b, _q, path: {"schema": store.schema(_schema_id(path[0]))}),
    (
        "GET",
        r"/schemas/ids/([^/]+)/schema",
        lambda store, _b, _q, path: json.loads(store.schema(_schema_id(path[0]))),
    ),
    (
        "GET",
        r"/schemas/ids/([^/]+)/subjects",
        lambda store, _b, _q, path: sorted({one.subject for one in store.uses(_schema_id(path[0]))}),
    ),
    (
        "GET",
        r"/schemas/ids/([^/]+)/versions",
        lambda store, _b, _q, path: [
            {"subject": one.subject, "version": one.version} for one in store.uses(_schema_id(path[0]))
        ],
    ),
    ("GET", r"/config(?:/([^/]+))?", _config_get),
    ("PUT", r"/config(?:/([^/]+))?", _config_put),
    ("DELETE", r"/config/([^/]+)", lambda store, _b, _q, path: {"compatibilityLevel": store.clear_level(path[0])}),
    ("POST", r"/compatibility/subjects/([^/]+)/versions", _compatibility),
    ("POST", r"/compatibility/subjects/([^/]+)/versions/([^/]+)", _compatibility),
    ("GET", r"/mode(?:/[^/]+)?", lambda *_: {"mode": "READWRITE"}),
]


def _register(store: Store, body: Body, path: list[str]) -> Body:
    one = store.register(path[0], _schema_text(body))
    return _as_json(one)


def answer(store: Store, method: str, target: str, raw_body: bytes) -> Any:
    """The JSON answer to one request. Raises RegistryError."""
    url = urlsplit(target)
    query = {name: values[-1] for name, values in parse_qs(url.query).items()}
    known = False
    for route_method, pattern, handle in _ROUTES:
        match = re.fullmatch(pattern + "/?", url.path)
        if match is None:
            continue
        known = True
        if route_method == method:
            path = [unquote(part) for part in match.groups() if part is not None]
            return handle(store, _decoded(raw_body), query, path)
    if known:
        raise RegistryError(405, 405, f"HTTP 405 Method Not Allowed: {method} {url.path}")
    raise RegistryError(404, 404, f"HTTP 404 Not Found: {url.path}")


def _decoded(raw_body: bytes) -> Body:
    if not raw_body:
        return {}
    try:
        body = json.loads(raw_body)
    except ValueError as error:
        raise RegistryError(400, 400, f"The body is not JSON: {error}") from None
    if not isinstance(body, dict):
        raise RegistryError(400, 400, "The body is not a JSON object")
    return body


class _RequestHandler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1  # one packet for head and body
    timeout = 120
    server: _Server

    def do_GET(self) -> None:
        self._handle()

    def do_HEAD(self) -> None:
        self._handle()

    def do_POST(self) -> None:
        self._handle()

    def do_PUT(self) -> None:
        self._handle()

    def do_DELETE(self) -> None:
        self._handle()

    def _handle(self) -> None:
        status, content = 200, None
        try:
            if not is_from_here(self.headers.get("Host", ""), self.headers.get("Origin")):
                raise RegistryError(403, 403, "Requests from other sites are refused")
            body = self._body()
            method = "GET" if self.command == "HEAD" else self.command
            content = answer(self.server.store, method, self.path, body)
        except RegistryError as error:
            status, content = error.status, {"error_code": error.code, "message": str(error)}
            if status >= 500:
                log.error("request_failed", path=self.path, error=str(error))
        payload = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", _MEDIA_TYPE)
        self.send_header("Content-Length", str(len(payload)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(payload)
        self.wfile.flush()

    def _body(self) -> bytes:
        length = self.headers.get("Content-Length", "0")
        if not length.isdecimal() or int(length) > MAX_BODY_BYTES or "Transfer-Encoding" in self.headers:
            self.close_connection = True
            raise RegistryError(413, 413, f"The body needs a Content-Length of at most {MAX_BODY_BYTES} bytes")
        return self.rfile.read(int(length))

    def log_message(self, format: str, *args: Any) -> None:
        """One line for each request would be noise."""


class _Server(HttpServer):
    store: Store


def run(port: int, folder: Path) -> None:
    """Serves until SIGTERM or SIGINT. Raises UserError when it cannot start."""
    listener = ports.listen(port, "registry")
    prepare_folder(folder, "registry")
    lock = FolderLock(folder, "registry")
    address = listener.getsockname()
    server = _Server(address, _RequestHandler, bind_and_activate=False)
    server.socket.close()
    server.socket = listener
    server.server_address = address
    server.server_name, server.server_port = address
    server.store = Store(folder)
    for number in (signal.SIGTERM, signal.SIGINT):
        # shutdown() waits for the loop it ends, so it must not run on the loop's own thread
        signal.signal(number, lambda *_: threading.Thread(target=server.shutdown).start())
    log.info("ready", address=f"http://{ports.LOOPBACK}:{address[1]}", data=str(folder))
    try:
        server.serve_forever(poll_interval=0.5)
    finally:
        server.server_close()
        lock.release()
    log.info("stopped")


def main(argv: list[str] | None = None) -> int:
    """Exit code 0 after a clean stop, 2 after a mistake of the user."""
    parser = argparse.ArgumentParser(
        prog="python -m movers.local.registry.service", description=(__doc__ or "").split("\n")[0]
    )
    parser.add_argument("--port", type=int, required=True, help="port on 127.0.0.1; 0 for any free one")
    parser.add_argument("--data", type=Path, required=True, help="data folder, created when absent")
    args = parser.parse_args(argv)
    logs.configure(process="registry")
    try:
        run(args.port, args.data)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)  # noqa: T201 - the one line a user reads
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
