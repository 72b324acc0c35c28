"""How the dashboard is started: the arguments of `streamlit run` that the product depends on, and who may look."""

from __future__ import annotations

from importlib.resources import files
from typing import Literal

from pydantic import SecretStr

from dashboard.login import PasswordHash
from dashboard.settings import DashboardSettings
from kernel.errors import UserError
from kernel.loopback import is_loopback
from kernel.settings import Settings

Login = Literal["none", "password", "oidc"]
"""How a reader shows who they are."""

_EVERYWHERE = ("0.0.0.0", "::")  # noqa: S104  compared with, not bound to


def argv(settings: Settings) -> list[str]:
    """Arguments after the interpreter: `[sys.executable, *argv(settings)]` serves the dashboard until SIGTERM.

    Raises:
        UserError: the address can be reached from elsewhere and there is no login, or the password's hash is none.
    """
    login_needed(settings)
    options = {
        "server.headless": "true",
        "server.address": settings.process.dashboard_host,
        "server.port": str(settings.process.dashboard_port),
        "server.fileWatcherType": "none",
        "server.runOnSave": "false",
        # Only our own pages may open the WebSocket, under names that are ours.
        "server.enableCORS": "true",
        "server.enableXsrfProtection": "true",
        # A name of its own, or Streamlit asks a server on the internet what our address is.
        "browser.serverAddress": _shown_address(settings.process.dashboard_host),
        "server.enableAgentApi": "false",
        "server.enableStaticServing": "false",
        # Nothing of ours takes a file or a long text.
        "server.maxUploadSize": "1",
        "server.maxWidgetStateSize": "1",
        "browser.gatherUsageStats": "false",
        # Its greeting is no event; `server.py` tells the address in one.
        "logger.hideWelcomeMessage": "true",
        # What was chosen is set again where a page is drawn anew (`dashboard.context.remembered`), beside its default.
        "global.disableWidgetStateDuplicationWarning": "true",
        "client.showErrorDetails": "none",
        "client.toolbarMode": "minimal",
        "theme.light.primaryColor": "#1d4ed8",
        "theme.dark.primaryColor": "#60a5fa",
    }
    arguments = ["-m", "streamlit", "run", str(files("dashboard").joinpath("server.py"))]
    for name, value in options.items():
        arguments += [f"--{name}", value]
    for host in allowed_hosts(settings):
        arguments += ["--server.allowedHosts", host]
    return arguments


def login_needed(settings: Settings) -> Login:
    """How a reader shows who they are. What is set is asked for on loopback too.

    Raises:
        UserError: the dashboard could be reached from elsewhere, and nothing asks who comes; or a setting does not fit.
    """
    dashboard = settings.of(DashboardSettings)
    if dashboard.dashboard_oidc_metadata_url:
        _require_oidc_settings(dashboard)
        return "oidc"
    password_hash = dashboard.dashboard_password_hash.get_secret_value()
    if password_hash:
        PasswordHash(password_hash)
        return "password"
    if not is_loopback(settings.process.dashboard_host):
        raise UserError(
            f"DASHBOARD_HOST {settings.process.dashboard_host} can be reached from elsewhere, so the dashboard wants a "
            "login: set DASHBOARD_PASSWORD_HASH to what `movers hash-password` prints, or the DASHBOARD_OIDC_ settings"
        )
    return "none"


def _require_oidc_settings(dashboard: DashboardSettings) -> None:
    wanted = ("client_id", "client_secret", "redirect_url", "readers")
    for name in (f"dashboard_oidc_{part}" for part in wanted):
        value = getattr(dashboard, name)
        if not (value.get_secret_value() if isinstance(value, SecretStr) else value):
            raise UserError(f"{name.upper()} is needed beside DASHBOARD_OIDC_METADATA_URL")
    if not dashboard.dashboard_oidc_redirect_url.endswith("/oauth2callback"):
        raise UserError("DASHBOARD_OIDC_REDIRECT_URL has to end in /oauth2callback")


def allowed_hosts(settings: Settings) -> list[str]:
    """Names under which the dashboard answers: loopback's, its own address, and those of the settings."""
    host = settings.process.dashboard_host
    own = [] if host in _EVERYWHERE else [host]
    return list(
        dict.fromkeys(["localhost", "127.0.0.1", *own, *settings.of(DashboardSettings).dashboard_allowed_hosts])
    )


def _shown_address(host: str) -> str:
    return "localhost" if host in _EVERYWHERE else host
