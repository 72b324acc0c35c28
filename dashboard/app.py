"""The dashboard's entry: four pages, and on each the strip with freshness and pop-ups. `streamlit run` executes it."""

from __future__ import annotations

from collections.abc import Callable
from importlib.resources import files

import streamlit as st

from dashboard import first_page, live, oidc
from dashboard.context import Context, arrive, chosen_alert, chosen_market, context, drawn
from dashboard.views import alerts, category_trends, controls, market_detail, pop_ups, top_movers
from kernel.errors import UserError

# Streamlit leaves a hand's breadth of air around; a board wants it for rows. Its pop-ups hang from the top, over what a
# reader clicks; at the bottom they lie over rows. Its small print has a contrast of 3.9 to 1 on white; 4.5 is wanted.
# A page that cannot hear the server is told nothing by it: the browser says so, by an animation that each refresh of
# the strip begins anew (`live.strip`). Else "data 2 s old" would stand.
_STYLE = """<style>
.stMainBlockContainer {padding: 3.4rem clamp(1rem, 2.3vw, 3rem) 2rem}
.stMainBlockContainer h2 {font-size: 1.6rem; padding-top: 0}
.stMainBlockContainer h3 {font-size: 1.25rem}
.stMain [data-testid="stCaptionContainer"] {opacity: .75}
[data-testid="stMetricValue"] {font-size: 1.45rem}
.stToastContainer {top: auto !important; bottom: 1rem}
.log-out {color: inherit; font-size: .875rem; text-decoration: none; white-space: nowrap}
body::after {content: "No word from the server for 20 seconds: what stands here is old. It goes on by itself once the \
server answers; if it does not, load the page again."; position: fixed; z-index: 2000000; top: 0; left: 0; right: 0;
             padding: .8rem 1rem; text-align: center; background: #7f1d1d; color: #fff; visibility: hidden;
             animation-delay: 20s; animation-fill-mode: forwards}
body:has(.st-key-heard-0)::after {animation-name: overdue-0}
body:has(.st-key-heard-1)::after {animation-name: overdue-1}
[class*="st-key-heard-"] p {animation: struck 0s 20s forwards}
@keyframes overdue-0 {to {visibility: visible}}
@keyframes overdue-1 {to {visibility: visible}}
@keyframes struck {to {text-decoration: line-through}}
@media (max-width: 640px) {.st-key-strip > :first-child {flex-basis: 100%}}
</style>"""

# Ours, since Streamlit would fetch a Material icon or emoji for the tab from somebody else's server.
_ICON = str(files("dashboard").joinpath("icon.svg"))


def _top_movers() -> None:
    _rows_or_market(top_movers.render, "Top movers")


def _category_trends() -> None:
    category_trends.render(context())


def _market_detail() -> None:
    market_detail.render(context())


def _alerts() -> None:
    chosen_alert()  # the address follows it, also while a market is shown
    _rows_or_market(alerts.render, "Alerts")


def _rows_or_market(rows: Callable[[Context], None], name: str) -> None:
    """A click on a row leads to its market and back, within one page."""
    if chosen_market():
        market_detail.render(context(), back_to=name)
    else:
        rows(context())


def main() -> None:
    """Draws the page that the reader is on."""
    st.set_page_config(page_title="Prediction Movers", page_icon=_ICON, layout="wide")
    st.html(_STYLE)
    detail = st.Page(
        _market_detail, title="Market Detail", url_path="market_detail", icon=":material/candlestick_chart:"
    )
    page = st.navigation(
        [
            st.Page(
                _top_movers, title="Top Movers", url_path=first_page.NAME, icon=":material/trending_up:", default=True
            ),
            st.Page(
                _category_trends,
                title="Category Trends",
                url_path="category_trends",
                icon=":material/stacked_bar_chart:",
            ),
            detail,
            st.Page(_alerts, title="Alerts", url_path="alerts", icon=":material/notifications:"),
        ],
        position="top",
    )
    try:
        shared = context()
    except UserError as error:
        st.error(str(error), icon=":material/settings:")
        st.stop()
    oidc.admit(shared.readers)
    arrive(page.url_path)
    # The strip stands first, and yet has to know what is wanted.
    with st.container(horizontal=True, vertical_alignment="center", key="strip"):
        left = st.container()
        controls.times()
        wanted = pop_ups.wanted(shared)
        controls.log_out(shared)
        with left:
            live.strip(shared, wanted)
    page.run()
    drawn()


main()
