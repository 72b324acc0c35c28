"""Who may look: a password in front of everything the dashboard serves, checked before Streamlit sees the request.

Anybody's connection is admitted by a signed cookie, which the right password brings. Only `/_stcore/health` and the
login page itself answer without one; pages, data, media and the WebSocket do not.

- The settings hold a scrypt hash, never the password (`movers hash-password` makes it).
- The cookie is signed with a key derived from that hash: a new password ends every session, a restart ends none.
- Logging out, and twelve hours, end what is open too: other tabs of that browser get no more numbers.
- Who was led to the form goes on to where he wanted to go.
- Wrong passwords are limited, for each address and over all, so that guessing is slower than a person's patience.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import hashlib
import hmac
import math
import secrets
import threading
import time
from collections.abc import Callable, Sequence
from html import escape
from urllib.parse import parse_qs, urlencode, urlsplit

from starlette.concurrency import run_in_threadpool
from starlette.requests import HTTPConnection, Request
from starlette.responses import HTMLResponse, PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from kernel.errors import UserError
from kernel.logs import get_logger

log = get_logger(__name__)

COOKIE = "movers_login"
SESSION_S = 12 * 3600
MAX_FORM_BYTES = 4096
OPEN_PATHS = frozenset({"/_stcore/health"})

_LOGIN, _LOGOUT, _NEXT = "/login", "/logout", "next"
_LONGEST_ADDRESS = 1000
"""Written in a form it may be three times as long, and has room there beside the password."""
_REFUSED = {"type": "websocket.close", "code": 4401, "reason": "log in first"}

_SCHEME = "scrypt"
_LOG2_N, _R, _P, _KEY_BYTES = 15, 8, 1, 32
_MAX_LOG2_N, _MAX_R, _MAX_P = 18, 16, 4
"""What a hash in the settings may ask of us: at most 512 MiB and some seconds."""


def hash_password(password: str, *, log2_n: int = _LOG2_N) -> str:
    """`scrypt:log2_n:r:p:salt:key`, salt and key in URL-safe base64; without a sign that .env files give a meaning.

    Raises:
        UserError: shorter than 10 characters.
    """
    if len(password) < 10:
        raise UserError("a password for the dashboard needs at least 10 characters")
    salt = secrets.token_bytes(16)
    key = _scrypt(password, salt, log2_n, _R, _P)
    return ":".join([_SCHEME, str(log2_n), str(_R), str(_P), _base64(salt), _base64(key)])


class PasswordHash:
    """A hash from the settings, read once.

    Raises:
        UserError: it is not one that `movers hash-password` makes.
    """

    def __init__(self, text: str) -> None:
        try:
            scheme, log2_n, r, p, salt, key = text.split(":")
            self._cost = (int(log2_n), int(r), int(p))
            self._salt = base64.urlsafe_b64decode(salt)
            self._key = base64.urlsafe_b64decode(key)
        except (ValueError, binascii.Error):
            raise UserError("DASHBOARD_PASSWORD_HASH is no hash; make one with `movers hash-password`") from None
        limits = zip(self._cost, (_MAX_LOG2_N, _MAX_R, _MAX_P), strict=True)
        within = all(1 <= value <= limit for value, limit in limits)
        if scheme != _SCHEME or not within or len(self._key) != _KEY_BYTES or len(self._salt) < 16:
            raise UserError("DASHBOARD_PASSWORD_HASH is no hash; make one with `movers hash-password`")

    def matches(self, password: str) -> bool:
        """Whether this is the password; takes the same time either way."""
        return hmac.compare_digest(_scrypt(password, self._salt, *self._cost), self._key)

    def signing_key(self) -> bytes:
        """The key that cookies are signed with."""
        return hmac.digest(self._key, b"movers dashboard cookie", "sha256")


class Tickets:
    """Signed admissions: `expiry.nonce.signature`.

    Args:
        now: seconds since the epoch.
    """

    def __init__(self, key: bytes, now: Callable[[], float] = time.time) -> None:
        self._key = key
        self._now = now
        self._ended: set[str] = set()

    def issue(self) -> str:
        """One that is valid for `SESSION_S`."""
        body = f"{int(self._now()) + SESSION_S}.{secrets.token_urlsafe(12)}"
        return f"{body}.{self._sign(body)}"

    def valid(self, ticket: str) -> bool:
        """Whether we issued it, and it has neither expired nor been ended."""
        body, _, signature = ticket.rpartition(".")
        if not hmac.compare_digest(signature.encode(), self._sign(body).encode()):
            return False
        return self.left_s(ticket) > 0 and ticket not in self._ended

    def left_s(self, ticket: str) -> float:
        """How long one that we issued is valid."""
        return int(ticket.partition(".")[0]) - self._now()

    def end(self, ticket: str) -> None:
        """It counts no longer. A restart forgets that; the browser has thrown it away by then."""
        self._ended = {ended for ended in self._ended if self.left_s(ended) > 0} | {ticket}

    def _sign(self, body: str) -> str:
        return hmac.new(self._key, body.encode(), "sha256").hexdigest()


class Tries:
    """How long an address has to wait after wrong passwords; and all addresses together, should they be many.

    Args:
        now: seconds, monotonic.
    """

    FREE = 5
    """Wrong passwords before the first wait."""

    LONGEST_S = 300.0
    OVERALL = 60
    """Wrong passwords of all addresses in `OVERALL_S` after which everybody waits."""

    OVERALL_S = 60.0
    _REMEMBERED = 10_000

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._lock = threading.Lock()
        self._wrong: dict[str, tuple[int, float]] = {}
        self._lately: list[float] = []

    def wait_s(self, address: str) -> float:
        """Seconds until the next try counts; 0 when it may be made now."""
        now = self._now()
        with self._lock:
            count, last = self._wrong.get(address, (0, now))
            own = min(2.0 ** (count - self.FREE), self.LONGEST_S) - (now - last) if count >= self.FREE else 0.0
            self._lately = [at for at in self._lately if now - at < self.OVERALL_S]
            overall = self._lately[0] + self.OVERALL_S - now if len(self._lately) >= self.OVERALL else 0.0
        return max(0.0, own, overall)

    def wrong(self, address: str) -> None:
        """A wrong password came from there."""
        with self._lock:
            if len(self._wrong) >= self._REMEMBERED:
                self._wrong.pop(next(iter(self._wrong)))
            count, _ = self._wrong.pop(address, (0, 0.0))
            self._wrong[address] = (min(count + 1, 64), self._now())
            self._lately.append(self._now())

    def right(self, address: str) -> None:
        """The right one came from there."""
        with self._lock:
            self._wrong.pop(address, None)


class OwnPagesOnly:
    """ASGI middleware: a page of another site opens no WebSocket and posts nothing here.

    Streamlit checks the WebSocket's Origin too, but asks a server on the internet for our address while doing so.

    Args:
        hosts: names under which we answer.
    """

    def __init__(self, app: ASGIApp, hosts: Sequence[str]) -> None:
        self._app = app
        self._hosts = frozenset(hosts)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Passes on what comes from our own pages, and from programs, which name no Origin."""
        origin = HTTPConnection(scope).headers.get("origin") if scope["type"] in ("http", "websocket") else None
        if origin is None or urlsplit(origin).hostname in self._hosts:
            await self._app(scope, receive, send)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 4403, "reason": "another site's page"})
        else:
            await PlainTextResponse("requests from other sites are refused\n", 403)(scope, receive, send)


class RequirePassword:
    """ASGI middleware: nothing behind it is reached without a ticket.

    Args:
        password_hash: as `hash_password` makes it.
    """

    def __init__(self, app: ASGIApp, password_hash: str) -> None:
        self._app = app
        self._hash = PasswordHash(password_hash)
        self._tickets = Tickets(self._hash.signing_key())
        self._tries = Tries()
        self._open: dict[str, set[asyncio.Event]] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Admits, or answers in the app's place."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        connection = HTTPConnection(scope)
        path, ticket = connection.url.path, connection.cookies.get(COOKIE, "..")
        admitted = self._tickets.valid(ticket)
        if scope["type"] == "websocket":
            await (self._as_long_as_valid(ticket, scope, receive, send) if admitted else send(_REFUSED))
        elif path == _LOGOUT:
            await self._logged_out(ticket if admitted else None)(scope, receive, send)
        elif path == _LOGIN:
            await (await self._form(Request(scope, receive), admitted))(scope, receive, send)
        elif admitted or path in OPEN_PATHS:
            await self._app(scope, receive, send)
        else:
            await _to_the_form(Request(scope, receive))(scope, receive, send)

    async def _as_long_as_valid(self, ticket: str, scope: Scope, receive: Receive, send: Send) -> None:
        """A WebSocket, closed when its ticket expires or is ended by logging out in another tab."""
        over = asyncio.Event()
        self._open.setdefault(ticket, set()).add(over)
        expiry = asyncio.get_running_loop().call_later(self._tickets.left_s(ticket), over.set)

        async def receive_until_over() -> Message:
            message, ending = asyncio.ensure_future(receive()), asyncio.ensure_future(over.wait())
            await asyncio.wait((message, ending), return_when=asyncio.FIRST_COMPLETED)
            ending.cancel()
            if message.done():
                return message.result()
            message.cancel()
            await send(_REFUSED)
            return {"type": "websocket.disconnect", "code": _REFUSED["code"]}

        try:
            await self._app(scope, receive_until_over, send)
        finally:
            expiry.cancel()
            self._open[ticket].discard(over)
            if not self._open[ticket]:
                del self._open[ticket]

    def _logged_out(self, ticket: str | None) -> Response:
        if ticket is not None:
            self._tickets.end(ticket)
            for over in self._open.get(ticket, ()):
                over.set()
        answer = RedirectResponse(_LOGIN, 303)
        answer.delete_cookie(COOKIE)
        return answer

    async def _form(self, request: Request, admitted: bool) -> Response:
        if request.method == "POST":
            return await self._try(request)
        wanted = _own_page(request.query_params.get(_NEXT, ""))
        return RedirectResponse(wanted, 303) if admitted else _page(wanted=wanted)

    async def _try(self, request: Request) -> Response:
        address = request.client.host if request.client else "unknown"
        fields = await _fields(request)
        if fields is None or "password" not in fields:
            return _page("That was no login form.", status=400)
        wanted, wait_s = _own_page(fields.get(_NEXT, "")), math.ceil(self._tries.wait_s(address))
        if wait_s > 0:
            note = f"Too many wrong passwords. Try again in {wait_s} s."
            return _page(note, wanted=wanted, status=429, headers={"Retry-After": str(wait_s)})
        if not await run_in_threadpool(self._hash.matches, fields["password"]):
            self._tries.wrong(address)
            log.warning("login_refused", address=address)
            return _page("Wrong password.", wanted=wanted, status=401)
        self._tries.right(address)
        log.info("login", address=address)
        answer = RedirectResponse(wanted, 303)
        # Lax: with strict, who follows a link in a mail is asked again. What other sites' pages send is refused anyway.
        secure = request.url.scheme == "https"
        answer.set_cookie(
            COOKIE, self._tickets.issue(), max_age=SESSION_S, httponly=True, samesite="lax", secure=secure
        )
        return answer


async def _fields(request: Request) -> dict[str, str] | None:
    """What a form holds; None when that is too much."""
    body = b""
    async for piece in request.stream():
        body += piece
        if len(body) > MAX_FORM_BYTES:
            return None
    try:
        fields = parse_qs(body.decode("utf-8", "replace"), keep_blank_values=True, max_num_fields=4)
    except ValueError:
        return None
    return {name: values[0] for name, values in fields.items()}


def _to_the_form(request: Request) -> Response:
    """Leads a reader to the form, and from there to what he asked for; a program is told."""
    if request.method != "GET" or "text/html" not in request.headers.get("accept", ""):
        return PlainTextResponse("log in first\n", 401)
    query = f"?{request.url.query}" if request.url.query else ""
    wanted = _own_page(request.url.path + query)
    return RedirectResponse(_LOGIN if wanted == "/" else f"{_LOGIN}?{urlencode({_NEXT: wanted})}", 303)


def _own_page(address: str) -> str:
    """The address where it is a page of ours, else the first page: a link to the form may name anything."""
    is_ours = address.startswith("/") and not address.startswith("//") and len(address) <= _LONGEST_ADDRESS
    return address if is_ours and urlsplit(address).path not in (_LOGIN, _LOGOUT) else "/"


def _page(note: str = "", *, wanted: str = "/", status: int = 200, headers: dict[str, str] | None = None) -> Response:
    policy = "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; frame-ancestors 'none'"
    return HTMLResponse(
        _HTML.replace("{note}", escape(note)).replace("{next}", escape(wanted)),
        status,
        {**(headers or {}), "Content-Security-Policy": policy, "Cache-Control": "no-store"},
    )


_HTML = """<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>Prediction Movers</title>
<style>
body {font: 16px/1.5 system-ui, sans-serif; display: grid; place-content: center; min-height: 90vh; margin: 0;
      color-scheme: light dark}
form {display: grid; gap: .7rem; width: 18rem}
h1 {font: inherit; font-weight: bold; margin: 0}
input, button {font: inherit; padding: .5rem .7rem; border-radius: .4rem; border: 1px solid #767676}
button {background: #2563eb; color: #fff; border: 0}
p {margin: 0; min-height: 1.5em; color: #c2410c}
@media (prefers-color-scheme: dark) {p {color: #fb923c}}
</style>
<form method="post" action="/login"><h1>Prediction Movers</h1>
<input name="next" type="hidden" value="{next}">
<label for="password">Password</label>
<input id="password" name="password" type="password" autocomplete="current-password" required autofocus>
<button>Log in</button><p role="alert">{note}</p></form></html>
"""


def _scrypt(password: str, salt: bytes, log2_n: int, r: int, p: int) -> bytes:
    memory = 130 * r * (1 << log2_n) + (1 << 20)
    return hashlib.scrypt(
        password.encode(), salt=salt, n=1 << log2_n, r=r, p=p, maxmem=max(memory, 1 << 25), dklen=_KEY_BYTES
    )


def _base64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode()
