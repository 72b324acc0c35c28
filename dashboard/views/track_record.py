"""How often alerts were right: one line over them, and a table for who asks."""

from __future__ import annotations

from collections import defaultdict
from contextlib import suppress

import pandas as pd
import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from dashboard import data
from dashboard.context import Context
from dashboard.store import StoreUnavailableError
from schemas.grades import ENOUGH_CASES, HORIZONS_S, horizon_label, share_text


def render(context: Context, button: DeltaGenerator, below: DeltaGenerator) -> None:
    """The button to the table and the line below; nothing before the first grade, nor while the store is away.

    That it is away, the list says.
    """
    with suppress(StoreUnavailableError):
        record = data.track_record(context.store)
        if record.empty:
            return
        with button.popover("Track record", icon=":material/fact_check:"):
            st.markdown(
                "How often half or more of an alert's move still stood so long after it was told, with the 95 % "
                f"interval. Under {ENOUGH_CASES} cases none is told. Graded by the store, never by hand: moves only, by"
                " the rules as they are now."
            )
            st.table(table(record), hide_index=True, alt="How often alerts were right")
        below.caption(line(record))


def line(record: pd.DataFrame) -> str:
    """How confirmed moves fared, in one sentence. `record` as `data.track_record` gives it."""
    cases: dict[int, int] = dict.fromkeys(HORIZONS_S, 0)
    held: dict[int, int] = dict.fromkeys(HORIZONS_S, 0)
    for row in record[record["stage"] == "confirmed"].to_dict("records"):
        cases[row["horizon_s"]] += row["cases"]
        held[row["horizon_s"]] += row["held"]
    most = max(cases.values())
    if most < ENOUGH_CASES:
        moves = "move" if most == 1 else "moves"
        return f"{most} confirmed {moves} graded so far; shares are told from {ENOUGH_CASES} on."
    told = [s for s in HORIZONS_S if cases[s] >= ENOUGH_CASES]
    shares = [f"{share_text(held[s], cases[s])} after {horizon_label(s)}" for s in told]
    # The longer the horizon, the fewer are graded yet: one number must not stand for all.
    of = "Of" if len({cases[s] for s in told}) == 1 else "Of up to"
    return f"{of} {most:,} confirmed moves half or more still stood in {', '.join(shares)}."


def table(record: pd.DataFrame) -> pd.DataFrame:
    """Of each rule (named where there are several), stage and severity: the shares, a column for each horizon."""
    graded: dict[tuple[str, str, str], dict[int, tuple[int, int]]] = defaultdict(dict)
    for row in record.to_dict("records"):
        graded[row["rule"], row["stage"], row["severity"]][row["horizon_s"]] = (row["held"], row["cases"])
    shown = pd.DataFrame(
        {"Rule": rule, "Stage": stage, "Severity": severity, "Alerts": max(cases for _, cases in at.values())}
        | {f"After {horizon_label(s)}": _share(*at.get(s, (0, 0))) for s in HORIZONS_S}
        for (rule, stage, severity), at in graded.items()
    )
    return shown if shown["Rule"].nunique() > 1 else shown.drop(columns="Rule")


def _share(held: int, cases: int) -> str:
    return share_text(held, cases) if cases >= ENOUGH_CASES else "too few" if cases else ""
