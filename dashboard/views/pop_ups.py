"""What a reader wants pop-ups for: drawn on every page, and part of the address like every other choice."""

from __future__ import annotations

import streamlit as st

from dashboard.context import Context
from dashboard.toasts import Wanted
from dashboard.views import controls


def wanted(context: Context) -> Wanted:
    """Draws the choices behind one small button; what was chosen."""
    with st.popover("Pop-ups", icon=":material/notifications:", type="tertiary", key="popups"):
        is_on = st.toggle(
            "Tell of new alerts", value=True, key="popups_on", bind="query-params", persist_state="session"
        )
        venues = controls.venues(context, key="popups_venues")
        categories = controls.categories(context, key="popups_categories")
        least_pp = st.number_input(
            "A move of at least (pp)",
            min_value=0.0,
            max_value=100.0,
            value=0.0,
            step=1.0,
            key="popups_least",
            bind="query-params",
            persist_state="session",
        )
        muted = st.text_input(
            "Not of markets or events with",
            placeholder="Words, separated by commas",
            max_chars=300,
            key="popups_muted",
            bind="query-params",
            persist_state="session",
        )
        st.caption("Bookmark the page to keep this. The list of alerts has filters of its own.")
    words = tuple(word.strip() for word in (muted or "").split(",") if word.strip())
    return Wanted(is_on, venues, categories, float(least_pp), words)
