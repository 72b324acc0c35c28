"""Who may look: a password in front of everything the dashboard serves, checked before Streamlit sees the request.

Anybody's connection is admitted by a signed cookie, which the right password brings. Only `/_stcore/health` and the
login page itself answer without one; pages, data, media and the WebSocket do not.

- The settings hold a scrypt hash, never the password (`movers hash-password` makes it).
- The cookie is signed with a key derived from that hash: a new password ends every session, a restart ends none.
- Wrong passwords are limited, for each address and over all, so that guessing is slower than a person's patience.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import secrets
import threading
import time
from collections.abc import Callable, Sequence
from html import escape
from urllib.parse import parse_qs, urlsplit

from starlette.concurrency import run_in_threadpool
from starlette.requests import HTTPConnection, Request
from starlette.responses import HTMLResponse, PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from kernel.errors import UserError
from kernel.logs import get_logger

log = get_logger(__name__)

COOKIE = "movers_login"
SESSION_S = 12 * 3600
MAX_FORM_BYTES = 4096
OPEN_PATHS = frozenset({"/_stcore/health"})

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

    def issue(self) -> str:
        """One that is valid for `SESSION_S`."""
        body = f"{int(self._now()) + SESSION_S}.{secrets.token_urlsafe(12)}"
        return f"{body}.{self._sign(body)}"

    def valid(self, ticket: str) -> bool:
        """Whether we issued it and it has not expired."""
        body, _, signature = ticket.rpartition(".")
        if not hmac.compare_digest(signature.encode(), self._sign(body).encode()):
            return False
        return int(body.partition(".")[0]) > self._now()

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

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Admits, or answers in the app's place."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        connection = HTTPConnection(scope)
        path = connection.url.path
        if path in OPEN_PATHS or self._tickets.valid(connection.cookies.get(COOKIE, "..")):
            if path == "/logout":
                await _logged_out()(scope, receive, send)
            else:
                await self._app(scope, receive, send)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 4401, "reason": "log in first"})
        else:
            await (await self._answer(Request(scope, receive)))(scope, receive, send)

    async def _answer(self, request: Request) -> Response:
        if request.url.path != "/login":
            if request.method == "GET" and "text/html" in request.headers.get("accept", ""):
                return RedirectResponse("/login", 303)
            return PlainTextResponse("log in first\n", 401)
        if request.method == "POST":
            return await self._try(request)
        return _page()

    async def _try(self, request: Request) -> Response:
        address = request.client.host if request.client else "unknown"
        wait_s = self._tries.wait_s(address)
        if wait_s > 0:
            return _page("Too many wrong passwords.", status=429, headers={"Retry-After": f"{wait_s:.0f}"})
        password = await _password(request)
        if password is None:
            return _page("That was no login form.", status=400)
        if not await run_in_threadpool(self._hash.matches, password):
            self._tries.wrong(address)
            log.warning("login_refused", address=address)
            return _page("Wrong password.", status=401)
        self._tries.right(address)
        log.info("login", address=address)
        answer = RedirectResponse("/", 303)
        secure = request.url.scheme == "https"
        answer.set_cookie(
            COOKIE, self._tickets.issue(), max_age=SESSION_S, httponly=True, samesite="strict", secure=secure
        )
        return answer


async def _password(request: Request) -> str | None:
    body = b""
    async for piece in request.stream():
        body += piece
        if len(body) > MAX_FORM_BYTES:
            return None
    fields = parse_qs(body.decode("utf-8", "replace"), keep_blank_values=True, max_num_fields=4)
    return fields.get("password", [None])[0]


def _logged_out() -> Response:
    answer = RedirectResponse("/login", 303)
    answer.delete_cookie(COOKIE)
    return answer


def _page(note: str = "", *, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    policy = "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; frame-ancestors 'none'"
    return HTMLResponse(
        _HTML.replace("{note}", escape(note)),
        status,
        {**(headers or {}), "Content-Security-Policy": policy, "Cache-Control": "no-store"},
    )


_HTML = """<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>Prediction Movers</title>
<style>
body {font: 16px/1.5 system-ui, sans-serif; display: grid; place-content: center; min-height: 90vh; margin: 0;
      color-scheme: light dark}
form {display: grid; gap: .7rem; width: 18rem}
input, button {font: inherit; padding: .5rem .7rem; border-radius: .4rem; border: 1px solid #8888}
button {background: #2563eb; color: #fff; border: 0}
p {margin: 0; min-height: 1.5em; color: #c2410c}
</style>
<form method="post" action="/login"><strong>Prediction Movers</strong>
<label for="password">Password</label>
<input id="password" name="password" type="password" autocomplete="current-password" required autofocus>
<button>Look</button><p role="alert">{note}</p></form></html>
"""


def _scrypt(password: str, salt: bytes, log2_n: int, r: int, p: int) -> bytes:
    memory = 130 * r * (1 << log2_n) + (1 << 20)
    return hashlib.scrypt(
        password.encode(), salt=salt, n=1 << log2_n, r=r, p=p, maxmem=max(memory, 1 << 25), dklen=_KEY_BYTES
    )


def _base64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode()
