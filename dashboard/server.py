"""What `streamlit run` serves: the pages, behind the checks of the settings. `launch.py` says how it is started."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.resources import files

import streamlit as st
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware

from dashboard import first_page, oidc
from dashboard.launch import allowed_hosts, login_needed
from dashboard.login import OwnPagesOnly, RequirePassword
from dashboard.settings import DashboardSettings
from kernel import logs
from kernel.process import living
from kernel.settings import load

_BEAT_S = 1.0

log = logs.get_logger(__name__)

_settings = load()
logs.configure(_settings.process.log_level, process="dashboard")
_hosts = allowed_hosts(_settings)
_middleware = [
    Middleware(TrustedHostMiddleware, allowed_hosts=_hosts, www_redirect=False),
    Middleware(OwnPagesOnly, hosts=_hosts),
]
_login = login_needed(_settings)
if _login == "password":
    _hash = _settings.of(DashboardSettings).dashboard_password_hash.get_secret_value()
    _middleware.append(Middleware(RequirePassword, password_hash=_hash))


@asynccontextmanager
async def _lifespan(_app: st.App) -> AsyncIterator[None]:
    """Metrics and health like every other process's; the signals are the web server's own."""
    life = living("dashboard", _settings.process)
    process = await asyncio.to_thread(life.__enter__)  # not in the main thread, so it takes no signals

    async def beat() -> None:
        while True:
            process.beat()
            await asyncio.sleep(_BEAT_S)

    beating = asyncio.create_task(beat())
    host, port = st.get_option("browser.serverAddress"), st.get_option("server.port")
    log.info("dashboard_started", address=f"http://{host}:{port}", login=_login)
    try:
        yield
    finally:
        beating.cancel()
        process.stop()
        await asyncio.to_thread(life.__exit__, None, None, None)


app = st.App(
    str(files("dashboard").joinpath("app.py")),
    routes=first_page.ROUTES,
    middleware=_middleware,
    lifespan=_lifespan,
    secrets=oidc.streamlit_secrets(_settings.of(DashboardSettings)) if _login == "oidc" else None,
)
