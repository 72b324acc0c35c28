"""A door before a service that listens on loopback only: any address in front, a login where one is asked for.

The one-machine registry and warehouse answer nobody but their own machine, which is right; in a container they have to
answer the other containers. This forwards each request as it is, with a Host header that says loopback.
"""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import httpx
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

from ops.compose.standins.users import Refusal, Users

Refuses = Callable[[Request, bytes], Refusal | None]
_METHODS = ["GET", "HEAD", "POST", "PUT", "DELETE"]
_OF_ONE_CONNECTION = {"host", "connection", "keep-alive", "transfer-encoding", "content-length"}


def front(upstream: str, refuses: Refuses = lambda _request, _body: None) -> Starlette:
    """Forwards all to `upstream` (http://127.0.0.1:port); whom `refuses` stops is answered as ClickHouse does."""

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        async with httpx.AsyncClient(base_url=upstream, timeout=300, trust_env=False) as http:
            http.headers.clear()  # or it would accept compressed answers in the name of a client that does not
            app.state.http = http
            yield

    async def forward(request: Request) -> Response:
        body = await request.body()
        if (refusal := refuses(request, body)) is not None:
            headers = {"X-ClickHouse-Exception-Code": str(refusal.code)}
            return PlainTextResponse(f"Code: {refusal.code}. DB::Exception: {refusal.text}\n", 403, headers)
        http: httpx.AsyncClient = request.app.state.http
        asked = http.build_request(
            request.method,
            httpx.URL(path=request.url.path, query=request.url.query.encode()),
            headers=[(name, value) for name, value in request.headers.raw if name.decode() not in _OF_ONE_CONNECTION],
            content=body,
        )
        try:
            answer = await http.send(asked, stream=True)
        except httpx.TransportError as error:
            return PlainTextResponse(f"the service behind does not answer: {error}\n", 503)
        kept = {name: value for name, value in answer.headers.items() if name not in _OF_ONE_CONNECTION}
        return StreamingResponse(_raw(answer), answer.status_code, kept)

    return Starlette(routes=[Route("/{path:path}", forward, methods=_METHODS)], lifespan=lifespan)


async def _raw(answer: httpx.Response) -> AsyncIterator[bytes]:
    try:
        async for piece in answer.aiter_raw():
            yield piece
    finally:
        await answer.aclose()


def login_of(users: Users) -> Refuses:
    """Stops whom these users do not have, or who has no right to what they ask; /ping is open to all, as there."""

    def refuses(request: Request, body: bytes) -> Refusal | None:
        if request.url.path in ("/ping", "/replicas_status"):
            return None
        return users.refusal(*_credentials(request), request.query_params.get("query", "").encode(), body)

    return refuses


def _credentials(request: Request) -> tuple[str, str]:
    kind, _, encoded = request.headers.get("authorization", "").partition(" ")
    if kind.lower() == "basic":
        user, _, password = base64.b64decode(encoded).decode("utf-8", "replace").partition(":")
        return user, password
    if "x-clickhouse-user" in request.headers:
        return request.headers["x-clickhouse-user"], request.headers.get("x-clickhouse-key", "")
    return request.query_params.get("user", "default"), request.query_params.get("password", "")
