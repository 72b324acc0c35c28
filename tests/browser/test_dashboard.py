"""What a reader sees: rows, fresh numbers, the way from the board to a market and back, pop-ups; no console errors."""

from __future__ import annotations

import os
import re
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

import pytest
from playwright.sync_api import Browser, Locator, Page, WebSocketRoute, expect
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg

from dashboard.login import hash_password
from kernel.clickhouse import connect
from kernel.kafka.publisher import Publisher
from kernel.kafka.topics import create_topics
from kernel.schema_registry import SchemaRegistry
from schemas.codec import Codec
from schemas.events import Alert
from schemas.topics import ALERTS
from tests.browser.conftest import OpenPage, StartDashboard
from tests.dashboard.fixtures import SeededStore
from tests.dashboard.test_toasts import BASE
from tests.stack.processes import KafkaProcess, ServiceProcess, kafka_at
from tests.stack.waiting import wait_until

pytestmark = [pytest.mark.browser, pytest.mark.stack]

_ROW_HEIGHT, _HEADER_HEIGHT = 35, 35


def _cells(page: Page) -> list[str]:
    """Texts of the first table; a canvas, whose accessible twin holds them."""
    texts: list[str] = page.locator('[data-testid="stDataFrame"]').first.evaluate(
        "table => [...table.querySelectorAll('[role=gridcell]')].map(cell => cell.textContent)"
    )
    return texts


def _click_row(page: Page, row: int) -> None:
    box = page.locator('[data-testid="stDataFrame"]').first.bounding_box()
    assert box is not None
    page.mouse.click(box["x"] + 300, box["y"] + _HEADER_HEIGHT + _ROW_HEIGHT * (row + 0.5))


def test_board_shows_rows_and_a_click_opens_the_market(
    seeded: SeededStore, start_dashboard: StartDashboard, open_page: OpenPage
) -> None:
    visit = open_page(start_dashboard("dashboard_seeded").url, 1400)
    page = visit.page
    expect(page.locator('[data-testid="stDataFrame"]')).to_be_visible(timeout=30_000)
    wait_until(lambda: "Will Boston beat New York tonight?" in _cells(page), "the first row is on the board")

    _click_row(page, 0)

    expect(page.locator("h2")).to_contain_text("Will Boston beat New York tonight?", timeout=20_000)
    expect(page.locator(".js-plotly-plot").first).to_be_visible(timeout=20_000)
    assert "market=KALSHI" in page.url
    page.get_by_role("button", name="Back to Top movers").click()
    expect(page.locator("h2")).to_have_text("Top movers", timeout=20_000)
    assert "market=" not in page.url
    assert visit.errors == []


def test_choices_are_part_of_the_address_and_outlive_a_market_and_a_reload(
    seeded: SeededStore, start_dashboard: StartDashboard, open_page: OpenPage
) -> None:
    page = open_page(start_dashboard("dashboard_seeded").url, 1400).page
    wait_until(lambda: len(_cells(page)) > 0, "the board has rows", 60)
    hour = page.get_by_role("radio", name="1h", exact=True)

    hour.click()

    wait_until(lambda: "movers_window=1h" in page.url, "the address says so")

    def market_opens() -> bool:
        _click_row(page, 0)
        page.wait_for_timeout(2000)  # a click may meet a table that is being drawn anew
        return page.locator("h2").first.inner_text() != "Top movers"

    wait_until(market_opens, "a market is open")
    page.get_by_role("button", name="Back to Top movers").click(timeout=60_000)
    expect(hour).to_be_checked(timeout=60_000)
    page.reload()
    expect(hour).to_be_checked(timeout=60_000)
    page.get_by_role("link", name="Alerts").click()
    expect(page.locator("h2").first).to_have_text("Alerts", timeout=60_000)
    page.get_by_role("link", name="Top Movers").click()
    expect(hour).to_be_checked(timeout=60_000)


class _Between:
    """Stands between a page and its server, and can hold back what comes once the page's address has lost a choice."""

    def __init__(self, page: Page, choice: str) -> None:
        self.holds = False
        self.held: list[tuple[str | None, bytes]] = []
        self._choice = choice
        page.route_web_socket("**/_stcore/stream", self._connect)

    def release(self, until: str | None = None) -> None:
        """Lets it through, to the first message of a kind or all of it."""
        while self.held:
            kind, message = self.held.pop(0)
            self._socket.send(message)
            if kind == until:
                return
        self.holds = False

    def _connect(self, socket: WebSocketRoute) -> None:
        self._socket = socket
        socket.connect_to_server().on_message(self._from_server)

    def _from_server(self, message: str | bytes) -> None:
        assert isinstance(message, bytes)
        told = ForwardMsg.FromString(message)
        kind = told.WhichOneof("type")
        if self.held or (
            self.holds and kind == "page_info_changed" and self._choice not in told.page_info_changed.query_string
        ):
            self.held.append((kind, message))
        else:
            self._socket.send(message)


def test_who_goes_back_before_his_browser_has_taken_in_the_market_keeps_his_choices(
    seeded: SeededStore, start_dashboard: StartDashboard, open_page: OpenPage
) -> None:
    page = open_page("about:blank", 1400).page
    between = _Between(page, "movers_window")
    page.goto(start_dashboard("dashboard_seeded").url)
    wait_until(lambda: len(_cells(page)) > 0, "the board has rows", 60)
    hour = page.get_by_role("radio", name="1h", exact=True)
    hour.click()
    wait_until(lambda: "movers_window=1h" in page.url and len(_cells(page)) > 0, "the board of the hour", 60)
    between.holds = True
    back = page.get_by_role("button", name="Back to Top movers")

    def is_drawn_but_not_at_its_end() -> bool:
        if back.count() == 0:
            _click_row(page, 0)
        page.wait_for_timeout(1000)
        return bool(between.held)

    wait_until(is_drawn_but_not_at_its_end, "a market is drawn, and its end on its way", 60)
    back.click(timeout=60_000)
    wait_until(lambda: _has_begun_again(page, between), "the board is on its way too", 60)

    between.release(until="script_finished")
    page.wait_for_url(lambda url: "movers_window" not in url, timeout=60_000)
    page.evaluate("() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")
    between.release()

    expect(page.locator("h2").first).to_have_text("Top movers", timeout=60_000)
    expect(hour).to_be_checked(timeout=10_000)


def _has_begun_again(page: Page, between: _Between) -> bool:
    page.wait_for_timeout(200)
    return any(
        ForwardMsg.FromString(message).delta.new_element.button_group.ByteSize()
        for kind, message in between.held
        if kind == "delta"
    )


def test_every_page_draws_without_errors(
    seeded: SeededStore, start_dashboard: StartDashboard, open_page: OpenPage
) -> None:
    visit = open_page(start_dashboard("dashboard_seeded").url, 1400)
    page = visit.page
    for name, header in (("Category Trends", "Category trends"), ("Alerts", "Alerts"), ("Top Movers", "Top movers")):
        page.get_by_role("link", name=name).click(timeout=30_000)
        expect(page.locator("h2").first).to_have_text(header, timeout=20_000)
        expect(page.locator('[data-testid="stDataFrame"]').first).to_be_visible(timeout=20_000)
        expect(page.locator('[data-testid="stException"], [data-testid="stAlertContentError"]')).to_have_count(0)
    assert visit.errors == []


def test_an_alert_opens_over_the_list_and_goes_with_escape(
    seeded: SeededStore, start_dashboard: StartDashboard, open_page: OpenPage
) -> None:
    page = open_page(start_dashboard("dashboard_seeded").url + "/alerts", 1400).page
    wait_until(lambda: len(_cells(page)) > 0, "the list has rows", 60)

    _click_row(page, 2)

    opened = page.get_by_role("dialog")
    expect(opened.get_by_role("button", name="Open market")).to_be_in_viewport(timeout=20_000)
    page.keyboard.press("Escape")
    expect(opened).to_have_count(0)


def test_an_opened_alert_stands_in_the_address_which_opens_it_for_others(
    seeded: SeededStore, start_dashboard: StartDashboard, open_page: OpenPage
) -> None:
    url = start_dashboard("dashboard_seeded").url + "/alerts"
    page = open_page(url, 1400).page
    wait_until(lambda: len(_cells(page)) > 0, "the list has rows", 60)
    _click_row(page, 2)
    expect(page).to_have_url(re.compile(r"/alerts\?alert=\w{24}$"), timeout=20_000)
    said = page.get_by_role("dialog").locator("p").first.inner_text()
    address = page.get_by_role("dialog").locator("code").inner_text()

    other = open_page(address, 1400).page

    assert address == page.url
    expect(other.get_by_role("dialog").locator("p").first).to_have_text(said, timeout=30_000)
    page.keyboard.press("Escape")
    expect(page).to_have_url(url, timeout=20_000)


def test_an_alert_that_is_opened_before_it_is_stored_appears_by_itself(
    young: SeededStore, start_dashboard: StartDashboard, open_page: OpenPage
) -> None:
    alert_id = "0123456789abcdef01234567"
    page = open_page(f"{start_dashboard('dashboard_young').url}/alerts?alert={alert_id}", 1400).page
    opened = page.get_by_role("dialog")
    expect(opened).to_contain_text(f"No alert {alert_id} is known here", timeout=60_000)
    client = connect(young.settings, client_name="test", role="read")
    opened_at = datetime.now(tz=UTC)
    columns = "alert_id event_id state kind venue market_id title rule severity window direction opened_at ts"
    row = [alert_id, "f" * 24, "detected", "move", "kalshi", "KALSHI:NEW", "Will it be stored?", "r", "low", "5m", "up"]

    client.insert("alerts", [[*row, opened_at, opened_at]], column_names=columns.split())

    client.close()
    expect(opened).to_contain_text("Will it be stored?", timeout=20_000)
    expect(opened.get_by_role("button", name="Open market")).to_be_visible(timeout=20_000)
    assert f"alert={alert_id}" in page.url


def test_times_are_told_by_the_clock_of_the_readers_browser(
    seeded: SeededStore, start_dashboard: StartDashboard, browser: Browser
) -> None:
    page = browser.new_context(timezone_id="Asia/Kathmandu", viewport={"width": 1400, "height": 900}).new_page()
    page.goto(start_dashboard("dashboard_seeded").url + "/market_detail?market=KALSHI:FED-HOLD")

    expect(page.get_by_text("Times in UTC+5:45, one point")).to_be_visible(timeout=60_000)
    page.locator(".st-key-times").get_by_role("button").click()
    page.get_by_text("Times in UTC", exact=True).click()

    expect(page.get_by_text("Times in UTC, one point")).to_be_visible(timeout=20_000)
    assert "times_utc=true" in page.url
    page.context.close()


def test_freshness_ticks_by_itself(seeded: SeededStore, start_dashboard: StartDashboard, open_page: OpenPage) -> None:
    visit = open_page(start_dashboard("dashboard_seeded").url, 1400)
    strip = visit.page.locator("text=/ old/").first
    before = strip.inner_text(timeout=30_000)
    if "min" in before:
        pytest.skip("the seeded world is minutes old by now: its age in words changes too slowly to wait for")

    expect(strip).not_to_have_text(before, timeout=15_000)

    assert visit.errors == []


def test_a_page_that_hears_nothing_of_its_server_says_so_until_it_does(
    begun: SeededStore, start_dashboard: StartDashboard, open_page: OpenPage
) -> None:
    dashboard = start_dashboard("dashboard_begun")
    page = open_page(dashboard.url, 1400).page
    age = page.locator("text=/ old/").first
    expect(age).to_be_visible(timeout=60_000)
    page.wait_for_timeout(22_000)
    assert _is_called_old(page, age) == (False, False)

    os.kill(dashboard.process.pid, signal.SIGSTOP)
    try:
        wait_until(lambda: _is_called_old(page, age) == (True, True), "the page is called old", 40)
    finally:
        os.kill(dashboard.process.pid, signal.SIGCONT)

    wait_until(lambda: _is_called_old(page, age) == (False, False), "the page is no longer called old", 60)


def _is_called_old(page: Page, age: Locator) -> tuple[bool, bool]:
    """Whether the line over the page is seen, and the ages of the data are struck out."""
    told = page.evaluate("() => getComputedStyle(document.body, '::after').visibility")
    struck = age.evaluate("text => getComputedStyle(text.closest('p')).textDecorationLine")
    return told == "visible", struck == "line-through"


def test_who_logs_in_by_a_link_is_led_to_its_market_and_finds_the_way_out(
    seeded: SeededStore, start_dashboard: StartDashboard, open_page: OpenPage
) -> None:
    url = start_dashboard("dashboard_seeded", DASHBOARD_PASSWORD_HASH=hash_password("long enough", log2_n=4)).url
    page = open_page(f"{url}/market_detail?market=KALSHI:FED-HOLD", 1400).page

    page.get_by_label("Password").fill("long enough")
    page.get_by_role("button", name="Log in").click()

    expect(page.locator("h2")).to_contain_text("Fed hold", timeout=60_000)
    page.get_by_role("link", name="Log out").click()
    expect(page.get_by_label("Password")).to_be_visible(timeout=60_000)


def test_new_move_reaches_the_board_without_a_reload(
    young: SeededStore, start_dashboard: StartDashboard, open_page: OpenPage
) -> None:
    page = open_page(start_dashboard("dashboard_young").url, 1400).page
    wait_until(lambda: len(_cells(page)) > 0, "the board has rows")
    client = connect(young.settings, client_name="test", role="read")
    columns = "market_id token_id venue window ts ts_received price_now price_then move_pp abs_move_pp score"
    columns += " coverage_s price_basis spread volume_24h_usd market_status is_settling computed_across_gap"
    now = datetime.now(tz=UTC)
    row: list[Any] = ["POLY:0x06", "POLY:0x06:YES", "polymarket", "5m", now, now, 0.95, 0.21, 74.0, 74.0, 1000.0]
    row += [300, "mid", 0.01, 960_000.0, "open", False, False]

    client.insert("movers_latest", [row], column_names=columns.split())

    client.close()
    wait_until(lambda: "74" in _cells(page), "the new move is on the board", 15)


@pytest.fixture
def pop_up(kafka_stack: KafkaProcess, registry: ServiceProcess) -> Iterator[Callable[[Page, str], Locator]]:
    """Tells of one alert on the topic until the page shows a pop-up: the pop-ups."""
    create_topics(kafka_at(kafka_stack.bootstrap, partitions=1), topics=[ALERTS])
    store = SchemaRegistry(registry.url)
    store.register([ALERTS])
    undelivered: list[object] = []
    publisher = Publisher(
        kafka_at(kafka_stack.bootstrap), "test", lambda _message, error, _place: undelivered.append(error)
    )
    codec = Codec(ALERTS, store, Alert)

    def tell(page: Page, market_id: str) -> Locator:
        # A reader that starts at the end may miss what is written while it finds its place: it is told until it shows.
        deadline_s = time.monotonic() + 90
        toasts = page.locator('[data-testid="stToast"]')
        while toasts.count() == 0:
            assert time.monotonic() < deadline_s, "no pop-up"
            for window_s in (3600, 300, 900):
                publisher.publish(ALERTS.name, market_id.encode(), codec.encode(_alert(market_id, window_s)))
            publisher.flush(10)
            page.wait_for_timeout(500)
        return toasts

    yield tell
    assert not undelivered
    store.close()


def test_alert_on_the_topic_pops_up_once(
    seeded: SeededStore,
    pop_up: Callable[[Page, str], Locator],
    start_dashboard: StartDashboard,
    open_page: OpenPage,
) -> None:
    visit = open_page(start_dashboard("dashboard_seeded").url, 1400)
    expect(visit.page.locator('[data-testid="stDataFrame"]').first).to_be_visible(timeout=30_000)

    toasts = pop_up(visit.page, "KALSHI:A")

    expect(toasts).to_have_count(1)
    expect(toasts.first).to_contain_text("+12.0 pp in 5m (and 2 longer)")
    assert visit.errors == []


@pytest.mark.parametrize("width", [390, 1400])
def test_a_pop_up_covers_nothing_that_can_be_chosen(
    seeded: SeededStore,
    pop_up: Callable[[Page, str], Locator],
    start_dashboard: StartDashboard,
    open_page: OpenPage,
    width: int,
) -> None:
    page = open_page(start_dashboard("dashboard_seeded").url, width).page
    expect(page.locator('[data-testid="stDataFrame"]').first).to_be_visible(timeout=30_000)

    toast = pop_up(page, f"KALSHI:{width}").first.bounding_box()

    assert toast is not None
    chooses = page.locator('[data-testid="stPopover"], [data-testid="stButtonGroup"]').all()
    boxes = [box for box in (choice.bounding_box() for choice in chooses) if box is not None]
    assert len(boxes) >= 4
    assert max(box["y"] + box["height"] for box in boxes) < toast["y"]


def _alert(market_id: str, window_s: int) -> Alert:
    now_us = int((datetime.now(tz=UTC) - timedelta(seconds=1)).timestamp() * 1_000_000)
    return replace(BASE, market_id=market_id, window_s=window_s, ts_event_us=now_us, opened_at_us=now_us)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_small_print_and_what_is_chosen_are_read_on_both_themes(
    seeded: SeededStore, start_dashboard: StartDashboard, browser: Browser, scheme: Literal["light", "dark"]
) -> None:
    page = browser.new_context(color_scheme=scheme, viewport={"width": 1400, "height": 900}).new_page()
    page.goto(start_dashboard("dashboard_seeded").url)
    small_print = page.locator(".stMain [data-testid=stCaptionContainer]").filter(has_text="Ranked by")

    expect(small_print).to_be_visible(timeout=60_000)
    for letters in (small_print.locator("p"), page.get_by_role("radio", name="5m", exact=True).locator("p")):
        # Streamlit may draw the words a moment before the page's styles.
        wait_until(lambda letters=letters: letters.evaluate(_CONTRAST) >= 4.5, "it can be read", 30)  # type: ignore[misc]
    page.context.close()


_CONTRAST = """letters => {
  const parts = text => text.match(/[\\d.]+/g).map(Number);
  const over = (top, alpha, ground) => [0, 1, 2].map(i => top[i] * alpha + ground[i] * (1 - alpha));
  const light = colour => [0.2126, 0.7152, 0.0722].reduce((sum, share, i) => {
    const part = colour[i] / 255;
    return sum + share * (part <= 0.03928 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4);
  }, 0);
  const around = [];
  for (let box = letters; box; box = box.parentElement) around.unshift(getComputedStyle(box));
  let ground = [255, 255, 255], opacity = 1;
  for (const box of around) {
    const [red, green, blue, alpha = 1] = parts(box.backgroundColor);
    ground = over([red, green, blue], alpha, ground);
    opacity *= Number(box.opacity);
  }
  const [red, green, blue, alpha = 1] = parts(around[around.length - 1].color);
  const both = [light(over([red, green, blue], alpha * opacity, ground)), light(ground)];
  return (Math.max(...both) + 0.05) / (Math.min(...both) + 0.05);
}"""


def test_narrow_screen_needs_no_sideways_scrolling(
    seeded: SeededStore, start_dashboard: StartDashboard, open_page: OpenPage
) -> None:
    page = open_page(start_dashboard("dashboard_seeded").url, 420).page
    expect(page.locator('[data-testid="stDataFrame"]').first).to_be_visible(timeout=30_000)

    overflow: int = page.evaluate("document.scrollingElement.scrollWidth - window.innerWidth")

    assert overflow <= 0
