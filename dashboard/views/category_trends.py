"""Category Trends: which subjects are moving, how much, which way, and with how much money."""

from __future__ import annotations

import streamlit as st

from dashboard import charts, data, zone
from dashboard.context import WAITING, Context, calm, remembered
from dashboard.views import controls, tables

_SPANS = {"1 h": (3600, 60), "3 h": (10_800, 180), "24 h": (86_400, 900), "7 d": (604_800, 7200)}
_INK = {"light": "#31333f", "dark": "#fafafa"}
"""Of numbers on a coloured ground, by Streamlit's theme."""


def render(context: Context) -> None:
    """The page."""
    st.header("Category trends", anchor=False)
    with st.container(horizontal=True, vertical_alignment="center"):
        window = controls.window(context, key="categories_window", default=_second(context))
        with st.popover("Filters", icon=":material/tune:"):
            threshold_pp = st.number_input(
                "A mover moves at least (pp)",
                min_value=0.5,
                max_value=50.0,
                value=5.0,
                step=0.5,
                key=remembered("categories_threshold"),
                bind="query-params",
                persist_state="session",
            )
            volume = st.number_input(
                "Traded in 24 hours, at least ($)",
                min_value=0,
                value=int(context.rules.min_volume_24h),
                step=1000,
                key=remembered("categories_volume"),
                bind="query-params",
                persist_state="session",
            )
    _now(context, window, float(threshold_pp), float(volume))
    st.subheader("Over time", anchor=False)
    chosen = st.segmented_control(
        "Span",
        list(_SPANS),
        default="3 h",
        required=True,
        key=remembered("categories_span"),
        label_visibility="collapsed",
        bind="query-params",
        persist_state="session",
    )
    _over_time(context, window, chosen or "3 h", float(volume))


def _second(context: Context) -> str:
    names = list(context.windows)
    return names[min(2, len(names) - 1)]


@st.fragment(run_every=5)
def _now(context: Context, window: str, threshold_pp: float, volume_usd: float) -> None:
    with calm():
        frame = data.categories(context.store, tuple(context.windows), threshold_pp, volume_usd)
        here = frame[frame["window"] == window].reset_index(drop=True)
        if here.empty:
            _say_why(context, window)
            return
        left, right = st.columns(2, gap="medium")
        with left:
            st.markdown(f"**Mean size of the move over {window}** :gray[(markets); ▲ up on balance, ▼ down]")
            bars = charts.category_bars(here)
            named = f"Bars: mean size of the move of each category over {window}; the table below has the numbers"
            st.plotly_chart(bars, key="category_bars", config=charts.CONFIG, alt=named)
        with right:
            st.markdown("**All windows** :gray[mean size of the move, pp]")
            ink = _INK[st.context.theme.type or "light"]
            heat = charts.category_heat(frame, list(context.windows), window, ink)
            named = "Table in colours: mean size of the move of each category over each window"
            st.plotly_chart(heat, key="heat", config=charts.CONFIG, alt=named)
        st.dataframe(
            tables.categories(here, threshold_pp),
            hide_index=True,
            height="content",
            key="category_table",
            alt=f"Categories over {window}",
            column_config=tables.category_columns(window, threshold_pp),
        )


def _say_why(context: Context, window: str) -> None:
    known = data.coverage(context.store, window)
    if known is None:
        st.info("No market has ticked yet.", icon=WAITING)
    elif known.covered == 0:
        st.info(controls.not_covered(context, window, known), icon=WAITING)
    else:
        st.info("No market passes these filters.", icon=":material/filter_alt:")


@st.fragment(run_every=5)
def _over_time(context: Context, window: str, span: str, volume_usd: float) -> None:
    with calm():
        span_s, step_s = _SPANS[span]
        frame = data.category_history(context.store, window, span_s, step_s, volume_usd)
        if frame["ts"].nunique() < 2:
            st.info(f"No {window} boards are kept yet to draw a line from.", icon=WAITING)
            return
        shown_by = zone.chosen()
        st.caption(
            f"Mean size of the {window} moves that were ranked minute by minute. Markets that did not move are not "
            f"among them, so the lines stand above the figures of now. Times in {shown_by.name}. Click a name to show "
            "or hide it."
        )
        lines = charts.category_lines(frame, shown_by=shown_by)
        named = f"Lines: mean size of the {window} moves of each category over the last {span}"
        st.plotly_chart(lines, key="category_lines", config=charts.CONFIG, alt=named)
