"""The pages as Streamlit runs them, over the seeded world, an empty store, a young one, and none at all."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from datetime import timedelta

import pandas as pd
import pytest
from streamlit.testing.v1 import AppTest

from dashboard import data as dashboard_data
from dashboard import formats
from dashboard.context import context
from dashboard.data import AlertFilters, episodes
from dashboard.store import Store
from dashboard.toasts import AlertFeed
from dashboard.views import market_detail
from kernel.settings import ClickHouseSettings
from tests.dashboard.fixtures import SeededStore, point_at
from tests.dashboard.seed import NO_PAIR, PAIR
from tests.dashboard.test_toasts import BASE

pytestmark = pytest.mark.stack


def _top_movers() -> None:
    from dashboard import live
    from dashboard.context import context
    from dashboard.views import top_movers

    live.strip(context())
    top_movers.render(context())


def _category_trends() -> None:
    from dashboard.context import context
    from dashboard.views import category_trends

    category_trends.render(context())


def _market_detail() -> None:
    from dashboard.context import context
    from dashboard.views import market_detail

    market_detail.render(context())


def _alerts() -> None:
    from dashboard.context import context
    from dashboard.views import alerts

    alerts.render(context())


_PAGES = [_top_movers, _category_trends, _market_detail, _alerts]


def _run(page: Callable[[], None], market: str | None = None) -> AppTest:
    app = AppTest.from_function(page, default_timeout=90)
    if market:
        app.query_params["market"] = market
    return app.run()


def _said(app: AppTest) -> str:
    return " ".join(element.value for kind in (app.info, app.caption, app.markdown) for element in kind)


def test_top_movers_shows_the_largest_move_first(app_environment: pytest.MonkeyPatch, seeded: SeededStore) -> None:
    point_at(app_environment, seeded.settings)

    app = _run(_top_movers)

    assert not app.exception
    rows = app.dataframe[0].value
    assert rows["Market"].iloc[0] == "Will Boston beat New York tonight?"
    assert "Will the thin market move without trades?" not in set(rows["Market"])  # default filters
    assert all(len(line) > 10 for line in rows["Trend"])
    assert "**Kalshi**" in _said(app)
    assert "**Polymarket**" in _said(app)


def test_top_movers_follows_the_chosen_window(app_environment: pytest.MonkeyPatch, seeded: SeededStore) -> None:
    point_at(app_environment, seeded.settings)
    app = _run(_top_movers)

    app.button_group(key="movers_window").set_value("24h").run()

    assert not app.exception
    notes = dict(zip(app.dataframe[0].value["Market"], app.dataframe[0].value["Notes"], strict=True))
    assert notes["Will the Fed hold rates in December?"] == "across a gap"


def test_an_address_brings_the_choices_it_was_shared_with(
    app_environment: pytest.MonkeyPatch, seeded: SeededStore
) -> None:
    point_at(app_environment, seeded.settings)
    app = AppTest.from_function(_top_movers, default_timeout=90)
    app.query_params["movers_window"] = "1h"
    app.query_params["movers_categories"] = ["Crypto"]

    app.run()

    assert not app.exception
    assert app.button_group(key="movers_window").value == "1h"
    assert set(app.dataframe[0].value["Category"]) == {"Crypto"}


def test_an_address_keeps_its_choices_while_the_store_is_away(app_environment: pytest.MonkeyPatch) -> None:
    app = AppTest.from_function(_top_movers, default_timeout=90)
    app.query_params["movers_categories"] = ["Crypto"]

    app.run()

    assert app.multiselect(key="movers_categories").value == ["crypto"]


def test_top_movers_looks_back_to_an_earlier_minute(app_environment: pytest.MonkeyPatch, seeded: SeededStore) -> None:
    point_at(app_environment, seeded.settings)
    app = _run(_top_movers)

    app.toggle(key="movers_back").set_value(True).run()

    assert not app.exception
    assert "board as it was at" in _said(app)
    assert len(app.dataframe[0].value) > 5


def test_a_minute_looked_back_to_is_the_same_for_readers_of_every_zone(
    app_environment: pytest.MonkeyPatch, seeded: SeededStore
) -> None:
    point_at(app_environment, seeded.settings)
    here = AppTest.from_function(_top_movers, default_timeout=90)
    here.query_params["movers_back"] = "true"
    here.context = {"timezone_offset": -330}

    here.run()

    told = here.query_params["movers_as_of"]
    shown = here.datetime_input[0].value
    assert shown is not None
    assert f"{shown - timedelta(minutes=330):%Y-%m-%dT%H:%M}" == told
    assert here.datetime_input[0].label == "Minute (UTC+5:30)"
    there = AppTest.from_function(_top_movers, default_timeout=90)
    there.query_params["movers_back"], there.query_params["movers_as_of"] = "true", told
    there.run()
    assert f"{there.datetime_input[0].value:%Y-%m-%dT%H:%M}" == told
    assert list(there.dataframe[0].value["Market"]) == list(here.dataframe[0].value["Market"])
    there.toggle(key="movers_back").set_value(False).run()
    assert "movers_as_of" not in there.query_params


def _times() -> None:
    from dashboard.context import context
    from dashboard.views import alerts, controls

    controls.times()
    alerts.render(context())


def _headers(app: AppTest) -> set[str]:
    columns = json.loads(app.dataframe[0].proto.columns).values()
    return {column["label"] for column in columns if "label" in column}


def test_times_are_the_readers_own_until_utc_is_asked_for(
    app_environment: pytest.MonkeyPatch, seeded: SeededStore
) -> None:
    point_at(app_environment, seeded.settings)
    app = AppTest.from_function(_times, default_timeout=90)
    app.context = {"timezone_offset": 480}

    app.run()

    assert "Opened (UTC−8)" in _headers(app)
    app.toggle(key="times_utc").set_value(True).run()
    assert "Opened (UTC)" in _headers(app)


def test_an_address_can_ask_for_utc(app_environment: pytest.MonkeyPatch, seeded: SeededStore) -> None:
    point_at(app_environment, seeded.settings)
    app = AppTest.from_function(_times, default_timeout=90)
    app.context, app.query_params["times_utc"] = {"timezone_offset": 480}, "true"

    app.run()

    assert app.get("popover")[0].proto.popover.label == "UTC"
    assert "Opened (UTC)" in _headers(app)


def test_uncovered_window_says_how_far_history_reaches(app_environment: pytest.MonkeyPatch, young: SeededStore) -> None:
    point_at(app_environment, young.settings)
    app = _run(_top_movers)

    app.button_group(key="movers_window").set_value("24h").run()

    assert "24h board: history covers 2 h 05 m so far" in _said(app)
    assert not app.dataframe


def test_in_the_first_minutes_the_board_shows_the_moves_so_far_and_says_over_how_long(
    app_environment: pytest.MonkeyPatch, begun: SeededStore
) -> None:
    point_at(app_environment, begun.settings)

    app = _run(_top_movers)

    assert "5m board: history covers 3 min so far" in _said(app)
    assert "the moves over 3 min so far" in _said(app)
    assert len(app.dataframe[0].value) > 0


def test_category_trends_has_a_row_for_each_category(app_environment: pytest.MonkeyPatch, seeded: SeededStore) -> None:
    point_at(app_environment, seeded.settings)

    app = _run(_category_trends)

    assert not app.exception
    assert {"Crypto", "Elections", "Science & tech"} <= set(app.dataframe[0].value["Category"])
    assert len(app.get("plotly_chart")) == 3
    assert all(chart.proto.alt for chart in app.get("plotly_chart"))


def test_market_detail_shows_both_sides_and_siblings(app_environment: pytest.MonkeyPatch, seeded: SeededStore) -> None:
    point_at(app_environment, seeded.settings)

    app = _run(_market_detail, market="KALSHI:FED-HOLD")

    assert not app.exception
    metrics = {metric.label: metric.value for metric in app.metric}
    price = next(path for path in seeded.paths if path.market_id == "KALSHI:FED-HOLD").prices[-1] * 100
    assert metrics["Yes"] == f"{price:.1f} %"
    assert metrics["No"] == f"{100 - price:.1f} %"
    assert len(app.dataframe[0].value) == 3
    assert "Yes prices add up to" in _said(app)
    assert "Price of " in _said(app)
    assert " UTC, " in _said(app)
    assert "one point for each 1 min" in _said(app)
    assert "Grey: a gap of the feed" in _said(app)
    assert re.search(r"ends in .* \(\d+ \w+ 20\d\d\)", _said(app))
    assert len(app.get("plotly_chart")) == 1
    assert app.get("plotly_chart")[0].proto.alt.startswith("Price of the market over the last 6 h")


def test_market_detail_shows_the_other_venues_quotes_their_age_and_who_moves_first_and_claims_no_profit(
    app_environment: pytest.MonkeyPatch, seeded: SeededStore
) -> None:
    point_at(app_environment, seeded.settings)

    app = _run(_market_detail, market=PAIR[1])

    assert not app.exception
    table = app.dataframe[0].value
    assert list(table["Venue"]) == ["Polymarket", "Kalshi"]
    assert table["Market"].iloc[1] == "Will the Supreme Court strike down the tariffs?"
    assert (table["Bid"] < table["Ask"]).all()
    assert table["Quote came"].str.endswith("ago").all()
    said = _said(app)
    assert "The same event on the other venue" in said
    assert "the titles are 84% alike" in said
    assert r"Confirmed by a person (same \[rules\])" in said
    assert "Polymarket moved 7.5 s after Kalshi: the median of 4 answered of 6 steps" in said
    assert "nothing says that money is to be had" in said


def test_market_detail_of_a_market_without_a_pair_says_nothing_of_other_venues(
    app_environment: pytest.MonkeyPatch, seeded: SeededStore
) -> None:
    point_at(app_environment, seeded.settings)

    assert "other venue" not in _said(_run(_market_detail, market=NO_PAIR[1]))


def test_market_detail_search_opens_what_was_chosen(app_environment: pytest.MonkeyPatch, seeded: SeededStore) -> None:
    point_at(app_environment, seeded.settings)
    app = _run(_market_detail)
    assert "Search for a market" in _said(app)

    app.text_input(key="detail_search").set_value("bitcoin").run()
    assert app.selectbox[0].label == "1 found"
    app.selectbox[0].set_value("POLY:0x04").run()

    assert not app.exception
    assert app.header[0].value.startswith("Will Bitcoin close above")


def test_a_search_that_finds_too_much_says_that_there_is_more(
    app_environment: pytest.MonkeyPatch, seeded: SeededStore
) -> None:
    point_at(app_environment, seeded.settings)
    app_environment.setattr(market_detail, "_FOUND", 3)
    app = _run(_market_detail)

    app.text_input(key="detail_search").set_value("will").run()

    assert app.selectbox[0].label == "The 3 largest found; more words find fewer"
    assert len(app.selectbox[0].options) == 3


def test_market_detail_of_an_unknown_market_says_so(app_environment: pytest.MonkeyPatch, seeded: SeededStore) -> None:
    point_at(app_environment, seeded.settings)

    assert "is known here" in _said(_run(_market_detail, market="KALSHI:NONE"))


def test_an_address_cannot_put_a_link_on_the_page(app_environment: pytest.MonkeyPatch, seeded: SeededStore) -> None:
    point_at(app_environment, seeded.settings)

    said = _said(_run(_market_detail, market="x` [log in](http://evil.example)"))

    assert r"x\` \[log in\]\(http\:" in said


def test_a_markets_outcomes_result_and_address_are_text(
    app_environment: pytest.MonkeyPatch, seeded: SeededStore
) -> None:
    point_at(app_environment, seeded.settings)
    market = dashboard_data.market(seeded.store, "KALSHI:FED-HOLD").copy()
    market["outcomes"] = ["[Yes](http://e.example)", "$No$"]
    market["result"], market["url"] = "*yes*", "https://kalshi.com/a) [b](http://e.example"
    app_environment.setattr(dashboard_data, "market", lambda *_: market)

    app = _run(_market_detail, market="KALSHI:FED-HOLD")

    assert [metric.label for metric in app.metric][:2] == [
        formats.escape("[Yes](http://e.example)"),
        formats.escape("$No$"),
    ]
    assert r"result \*yes\*" in _said(app)
    assert "(https://kalshi.com/a%29%20%5Bb%5D%28http://e.example)" in _said(app)


def test_alerts_lists_open_episodes_on_top(app_environment: pytest.MonkeyPatch, seeded: SeededStore) -> None:
    point_at(app_environment, seeded.settings)

    app = _run(_alerts)

    assert not app.exception
    states = list(app.dataframe[0].value["State"])
    assert states[0] == "● confirmed"
    assert states[-1] == "closed"
    assert "80 % after 5m" in set(app.dataframe[0].value["Kept"])


def test_how_often_alerts_were_right_stands_over_the_list(
    app_environment: pytest.MonkeyPatch, seeded: SeededStore
) -> None:
    point_at(app_environment, seeded.settings)

    app = _run(_alerts)

    assert "1 confirmed move graded so far; shares are told from 30 on." in _said(app)
    (record,) = (element.value for element in app.table)
    assert list(record["After 5m"]) == ["too few"]


def test_a_list_that_is_cut_says_so_and_does_not_count_what_it_leaves_out(
    app_environment: pytest.MonkeyPatch, seeded: SeededStore
) -> None:
    point_at(app_environment, seeded.settings)
    assert len(episodes(seeded.store, AlertFilters(kinds=("move",)))) > 25
    app = AppTest.from_function(_alerts, default_timeout=90)
    app.query_params["alerts_limit"] = "25"

    assert re.search(r"The first 25 \(more: Filters, Rows\): \d+ open, \d+ closed", _said(app.run()))


def test_a_chosen_episode_says_what_became_of_it_and_what_speaks_for_it_in_words(
    app_environment: pytest.MonkeyPatch, seeded: SeededStore
) -> None:
    point_at(app_environment, seeded.settings)
    known = episodes(seeded.store, AlertFilters())
    chosen = known[known["graded_after_s"] > 0].iloc[0]
    app = AppTest.from_function(_alerts, default_timeout=90)
    app.session_state["alert_chosen"] = chosen["alert_id"]

    said = _said(app.run())

    assert "kept: 80 % after 5m" in said
    assert "For: quotes on both sides, price made of a quote, the other venue (34 s before)" in said
    assert "Against: money in the window, the rest of its event" in said
    assert ("closed" in chosen["state"]) is ("(window over)" in said)


def test_an_alerts_address_opens_it_whatever_the_filters_and_it_can_be_copied(
    app_environment: pytest.MonkeyPatch, seeded: SeededStore
) -> None:
    point_at(app_environment, seeded.settings)
    known = episodes(seeded.store, AlertFilters())
    chosen = known[known["kind"] == "move"].iloc[0]
    app = AppTest.from_function(_alerts, default_timeout=90)
    app.query_params["alert"], app.query_params["alerts_kind"] = chosen["alert_id"], "Settlements"

    app.run()

    assert not app.exception
    assert chosen["title"] in _said(app)
    assert not app.dataframe
    assert app.code[0].value == f"/alerts?alert={chosen['alert_id']}"


@pytest.mark.parametrize("alert_id", ["0" * 24, "x` [log in](http://evil.example)", "é" * 60])
def test_an_alert_that_is_not_known_is_one_line(
    app_environment: pytest.MonkeyPatch, seeded: SeededStore, alert_id: str
) -> None:
    point_at(app_environment, seeded.settings)
    app = AppTest.from_function(_alerts, default_timeout=90)
    app.query_params["alert"] = alert_id

    app.run()

    assert not app.exception
    (line,) = (element.value for element in app.info)
    assert line.startswith(f"No alert {formats.escape(alert_id)} is known here")
    assert len(app.dataframe) == 1


def test_a_click_on_a_listed_alert_asks_the_store_nothing_more(
    app_environment: pytest.MonkeyPatch, seeded: SeededStore
) -> None:
    point_at(app_environment, seeded.settings)
    app = _run(_alerts)
    listed = episodes(seeded.store, AlertFilters(kinds=("move",)))
    asked: list[AlertFilters] = []

    def answer(_: Store, filters: AlertFilters) -> pd.DataFrame:
        asked.append(filters)
        return listed

    app_environment.setattr(dashboard_data, "episodes", answer)

    app.session_state["alert_chosen"] = listed["alert_id"].iloc[0]
    app.run()

    assert app.code
    assert {filters.alert_id for filters in asked} == {""}


def _strip() -> None:
    from dashboard import live
    from dashboard.context import context

    live.strip(context())


def test_a_pop_up_waits_until_the_open_alert_is_closed_whose_place_it_would_take(
    app_environment: pytest.MonkeyPatch,
) -> None:
    app_environment.setattr(AlertFeed, "newest", lambda _: 0)
    app_environment.setattr(AlertFeed, "since", lambda _, number: ([BASE] if number == 0 else [], 1))
    app = AppTest.from_function(_strip, default_timeout=90)
    app.session_state["alert_chosen"] = "a" * 24

    assert not app.run().toast
    app.session_state["alert_chosen"] = None
    assert "+12.0 pp" in app.run().toast[0].value
    assert not app.run().toast


def test_without_alerts_the_page_says_what_opens_one(
    app_environment: pytest.MonkeyPatch, empty: ClickHouseSettings
) -> None:
    point_at(app_environment, empty)

    assert r"in which \$10.0k were traded in 24 hours moves 6 pp" in _said(_run(_alerts))

    context.clear()
    app_environment.setenv("ALERT_RULES", "my-rules.toml")
    assert "as your own rules say" in _said(_run(_alerts))


def test_acknowledging_an_episode_stores_name_and_note(app_environment: pytest.MonkeyPatch, young: SeededStore) -> None:
    point_at(app_environment, young.settings)
    alert_id = episodes(young.store, AlertFilters())["alert_id"].iloc[0]
    app = AppTest.from_function(_alerts, default_timeout=90)
    app.session_state["alert_chosen"] = alert_id
    app.run()

    app.text_input[0].set_value("Ada")
    app.text_input[1].set_value("poll came out")
    next(button for button in app.button if button.label == "Mark as seen").click().run()

    assert not app.exception
    rows = episodes(young.store, AlertFilters()).set_index("alert_id")
    assert (rows.loc[alert_id, "acked_by"], rows.loc[alert_id, "note"]) == ("Ada", "poll came out")
    assert alert_id not in set(episodes(young.store, AlertFilters(hide_acked=True))["alert_id"])
    assert app.session_state["alert_chosen"] is None
    assert "alert" not in app.query_params


@pytest.mark.parametrize("page", _PAGES)
def test_page_over_an_empty_store_is_calm(
    app_environment: pytest.MonkeyPatch, empty: ClickHouseSettings, page: Callable[[], None]
) -> None:
    point_at(app_environment, empty)

    app = _run(page)

    assert not app.exception
    assert not app.error
    assert app.info
    assert not app.dataframe
    assert not app.get("plotly_chart")


@pytest.mark.parametrize("page", _PAGES)
def test_page_without_a_store_is_calm(app_environment: pytest.MonkeyPatch, page: Callable[[], None]) -> None:
    app = _run(page, market="KALSHI:FED-HOLD")

    assert not app.exception
    assert not app.error
    assert "does not answer" in _said(app)
