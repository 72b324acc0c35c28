"""What `streamlit run` serves: the pages, behind the checks of the settings. `launch.py` says how it is started."""

from __future__ import annotations

from importlib.resources import files

import streamlit as st
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware

from dashboard import oidc
from dashboard.launch import allowed_hosts, login_needed
from dashboard.login import OwnPagesOnly, RequirePassword
from dashboard.settings import DashboardSettings
from kernel import logs
from kernel.settings import load

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

app = st.App(
    str(files("dashboard").joinpath("app.py")),
    middleware=_middleware,
    secrets=oidc.streamlit_secrets(_settings.of(DashboardSettings)) if _login == "oidc" else None,
)
