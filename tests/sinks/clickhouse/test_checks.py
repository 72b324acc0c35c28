from __future__ import annotations

import pytest

from kernel.errors import BadMessageError
from sinks.clickhouse.checks import LIMIT_PPM, LIMIT_US, Storable, check_storable
from tests.sinks.events import a_bar, a_market, a_move, a_status, a_tick, a_window, an_alert


@pytest.mark.parametrize("event", [a_bar(), a_market(), a_move(), a_status(), a_tick(), an_alert()])
def test_ordinary_events_pass(event: Storable) -> None:
    check_storable(event)


@pytest.mark.parametrize(
    "event",
    [
        a_tick(ts_us=-1),
        a_tick(ts_us=LIMIT_US),
        a_tick(event_id="short"),
        a_tick(event_id="é" * 24),
        a_tick(price_ppm=LIMIT_PPM),
        a_tick(bid_ppm=-LIMIT_PPM // 2, ask_ppm=LIMIT_PPM // 2),
        a_tick(trades=-1),
        a_market(outcomes=("Yes",)),
        a_market(close_ts_us=LIMIT_US),
        a_move(windows=(a_window(300, coverage_s=-1),)),
        a_move(windows=(a_window(300, price_then_ppm=LIMIT_PPM),)),
        a_bar(bar_s=300),
        a_bar(ticks=1 << 32),
        an_alert(alert_id=""),
        a_status(markets_tracked=-1),
    ],
)
def test_what_no_column_can_hold_is_refused(event: Storable) -> None:
    with pytest.raises(BadMessageError) as refusal:
        check_storable(event)

    assert refusal.value.reason == "impossible_value"
