from __future__ import annotations

from collections.abc import Callable

import pytest

from kernel.errors import BadMessageError
from schemas.times import MAX_AHEAD_US
from sinks.clickhouse.checks import LIMIT_PPM, LIMIT_US, Storable, check_storable
from tests.sinks.events import NOON_US, a_bar, a_market, a_move, a_status, a_tick, a_window, an_alert


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
        a_move(windows=(a_window(300, trades=1 << 63),)),
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


def test_a_count_of_sixty_four_bits_columns_may_be_longer_than_thirty_two() -> None:
    check_storable(a_move(windows=(a_window(300, trades=(1 << 63) - 1),)))


@pytest.mark.parametrize("make", [a_tick, a_move, a_bar, a_market, an_alert, a_status])
def test_what_is_stamped_ahead_of_its_receipt_is_refused(make: Callable[..., Storable]) -> None:
    check_storable(make(ts_received_us=NOON_US, **_stamped(make, NOON_US + MAX_AHEAD_US)))

    with pytest.raises(BadMessageError) as refusal:
        check_storable(make(ts_received_us=NOON_US, **_stamped(make, NOON_US + MAX_AHEAD_US + 1)))

    assert refusal.value.reason == "stamped_ahead"


def _stamped(make: Callable[..., Storable], ts_us: int) -> dict[str, int]:
    return {"ts_us" if make in (a_tick, a_move) else "ts_event_us": ts_us}
