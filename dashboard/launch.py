"""How the dashboard is started: the arguments of `streamlit run` that the product depends on."""

from __future__ import annotations

from importlib.resources import files

from kernel.settings import Settings


def argv(settings: Settings) -> list[str]:
    """Arguments after the interpreter: `[sys.executable, *argv(settings)]` serves the dashboard until SIGTERM."""
    options = {
        "server.headless": "true",
        "server.address": settings.process.dashboard_host,
        "server.port": str(settings.process.dashboard_port),
        "server.fileWatcherType": "none",
        "server.runOnSave": "false",
        "browser.gatherUsageStats": "false",
        "client.showErrorDetails": "none",
        "client.toolbarMode": "minimal",
        "theme.light.primaryColor": "#2563eb",
        "theme.dark.primaryColor": "#60a5fa",
    }
    arguments = ["-m", "streamlit", "run", str(files("dashboard").joinpath("app.py"))]
    for name, value in options.items():
        arguments += [f"--{name}", value]
    return arguments
