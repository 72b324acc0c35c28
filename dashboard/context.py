"""What every page works with: settings, the store, the alert feed (one a server process); and the way to a market."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import streamlit as st

from dashboard import formats
from dashboard.store import Store, StoreUnavailableError
from dashboard.toasts import AlertFeed
from movers import logs
from movers.settings import RuleSettings, Settings, load

_DETAIL_PAGE = "page_market_detail"


@dataclass(frozen=True, slots=True)
class Context:
    """Handed to each page."""

    rules: RuleSettings
    sweep_interval_s: float
    store: Store
    alerts: AlertFeed

    @property
    def windows(self) -> dict[str, int]:
        """Names of the windows and their seconds, shortest first."""
        return {formats.window(seconds): seconds for seconds in self.rules.windows}

    @property
    def widest_window(self) -> str:
        """The window whose rows hold every market's newest moment."""
        return formats.window(self.rules.windows[-1])


@st.cache_resource(show_spinner=False, on_release=lambda shared: shared.alerts.close())
def context() -> Context:
    """The composition root of the dashboard's process: settings are read here, once.

    Raises:
        UserError: a setting does not fit.
    """
    settings: Settings = load()
    logs.configure(settings.process.log_level, process="dashboard")
    return Context(
        rules=settings.rules,
        sweep_interval_s=settings.collector.collector_price_interval,
        store=Store(settings.clickhouse),
        alerts=AlertFeed(settings.kafka.kafka_bootstrap_servers, settings.kafka.schema_registry_url),
    )


@contextmanager
def calm() -> Iterator[None]:
    """Turns an absent store into one quiet line; the page's next refresh tries again."""
    try:
        yield
    except StoreUnavailableError as error:
        st.info(str(error), icon=":material/hourglass_empty:")


def remember_detail_page(page: object) -> None:
    """Keeps the Market Detail page, so that other pages can go there."""
    st.session_state[_DETAIL_PAGE] = page


def open_market(market_id: str) -> None:
    """Goes to the page of a market."""
    page = st.session_state.get(_DETAIL_PAGE)
    if page is not None:
        st.switch_page(page, query_params={"market": market_id})
