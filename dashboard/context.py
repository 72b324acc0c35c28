"""What every page works with: settings, the store, the alert feed (one a server process); and the way to a market."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from urllib.parse import quote

import streamlit as st
from streamlit.runtime.scriptrunner import get_script_run_ctx

from dashboard.launch import Login, login_needed
from dashboard.settings import DashboardSettings
from dashboard.store import Store, StoreUnavailableError
from dashboard.toasts import AlertFeed
from kernel import logs
from kernel.settings import RuleSettings, Settings, load
from schemas.units import window_label

WAITING = ":material/hourglass_empty:"
"""The icon of a line that says: not yet."""

_MARKET, _ALERT, _PAGE, _DRAWN = "market", "alert", "page", "view_drawn"
_CHOSEN = {_MARKET: "market_open", _ALERT: "alert_chosen"}
"""What a reader can open, by its name in the address: where the session notes which."""


@dataclass(frozen=True, slots=True)
class Context:
    """Handed to each page."""

    rules: RuleSettings
    sweep_interval_s: float
    store: Store
    alerts: AlertFeed
    readers: tuple[str, ...] | None
    """Who may look, by their OpenID Connect address; None when they are not asked that way."""
    login: Login
    """How a reader has shown who they are."""

    @property
    def windows(self) -> dict[str, int]:
        """Names of the windows and their seconds, shortest first."""
        return {window_label(seconds): seconds for seconds in self.rules.windows}

    @property
    def widest_window(self) -> str:
        """The window whose rows hold every market's newest moment."""
        return window_label(self.rules.windows[-1])


@st.cache_resource(show_spinner=False, on_release=lambda shared: shared.alerts.close())
def context() -> Context:
    """The composition root of the dashboard's process: settings are read here, once.

    Raises:
        UserError: a setting does not fit.
    """
    settings: Settings = load()
    own, login = settings.of(DashboardSettings), login_needed(settings)
    logs.configure(settings.process.log_level, process="dashboard")
    return Context(
        rules=settings.rules,
        sweep_interval_s=settings.collector.collector_price_interval,
        store=Store(settings.clickhouse),
        alerts=AlertFeed(settings.kafka),
        readers=own.dashboard_oidc_readers if login == "oidc" else None,
        login=login,
    )


@contextmanager
def calm() -> Iterator[None]:
    """Turns an absent store into one quiet line; the page's next refresh tries again."""
    try:
        yield
    except StoreUnavailableError as error:
        st.info(str(error), icon=WAITING)


def arrive(page: str) -> None:
    """Notes which page the reader is on; a new page starts with the market and the alert of its address, or none."""
    if st.session_state.get(_PAGE) != page:
        st.session_state[_PAGE] = page
        for name, noted in _CHOSEN.items():
            st.session_state[noted] = st.query_params.get(name)


def drawn() -> None:
    """Notes that all of a page has been drawn. Called at the end of each of its runs that is not cut short."""
    st.session_state[_DRAWN] = _view()


def remembered(key: str) -> str:
    """The key of a choice. What was chosen is told to the browser where it has to draw the choice anew.

    The browser forgets choices that are not on the page, once it has taken in all of it. Who goes back before that
    still sends them, Streamlit (1.67) believes them to be known, and the browser would draw the default.
    """
    if st.session_state.get(_DRAWN) != _view() and key in st.session_state:
        st.session_state[key] = st.session_state[key]
    return key


def _view() -> tuple[str | None, bool]:
    """What is on the page as a whole: which page, and whether a market takes the place of its rows."""
    return st.session_state.get(_PAGE), st.session_state.get(_CHOSEN[_MARKET]) is not None


def chosen_market() -> str | None:
    """The market that the reader has opened, which a page shows in place of its rows; None when none."""
    return _chosen(_MARKET)


def chosen_alert() -> str | None:
    """The alert that the reader has opened over the list of them; None when none."""
    return _chosen(_ALERT)


def opened_alert() -> str | None:
    """The same as the page was drawn with; for fragments, whose address may be an older one."""
    return st.session_state.get(_CHOSEN[_ALERT])


def _chosen(name: str) -> str | None:
    """What is open by that name.

    The session holds the truth and the address mirrors it, to be shared. The other way round, a refresh that was sent
    before the address changed would bring the old one back (Streamlit 1.67).
    """
    run, noted = get_script_run_ctx(), _CHOSEN[name]
    by_history = bool(getattr(run, "is_history_navigation", False))
    if by_history or noted not in st.session_state:
        st.session_state[noted] = st.query_params.get(name)
    chosen: str | None = st.session_state[noted]
    if chosen is None:
        st.query_params.pop(name, None)
    elif st.query_params.get(name) != chosen:
        st.query_params[name] = chosen
    return chosen


def choose_market(market_id: str | None) -> None:
    """Shows a market in place of what the page shows, or the page's own rows again. For callbacks of widgets.

    The reader stays on the page. `st.switch_page` is no way out of a fragment that refreshes itself: a refresh that
    is under way when the server changes pages draws into the new page, and the browser gives up (Streamlit 1.67).
    """
    st.session_state[_CHOSEN[_MARKET]] = market_id


def choose_alert(alert_id: str | None) -> None:
    """Opens an alert over the list, or none. For callbacks of widgets."""
    st.session_state[_CHOSEN[_ALERT]] = alert_id


def follow_choice(market: str | None, alert: str | None = None) -> None:
    """Draws the whole page anew when the reader has chosen another market or alert than those drawn.

    A fragment calls it before it draws anything. Should a click's own run be overtaken, the next refresh follows it.
    """
    drawn = {_MARKET: market, _ALERT: alert}
    if any(st.session_state.get(noted) != drawn[name] for name, noted in _CHOSEN.items()):
        st.rerun()


def alert_address(alert_id: str) -> str:
    """Where an alert can be looked at, on this server."""
    return f"/alerts?{_ALERT}={quote(alert_id, safe='')}"
