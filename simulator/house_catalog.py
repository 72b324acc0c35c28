"""What the house tape is about: templates of events in all categories, and how one becomes markets on a venue."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from datetime import datetime
from random import Random
from typing import Any, Final

from schemas.units import US_PER_S, datetime_from_micros
from simulator import ids
from simulator.tape import Market

HOUR_US: Final = 3_600 * US_PER_S

CITIES = (
    "New York", "Chicago", "Miami", "Austin", "Denver", "Los Angeles", "Philadelphia", "Boston", "Seattle",
    "Houston", "Atlanta", "Detroit", "Dallas", "Phoenix", "Toronto", "London", "Paris", "Madrid", "Milan",
    "Munich", "Lisbon", "Istanbul", "Seoul", "Tokyo", "Sydney",
)  # fmt: skip
COUNTRIES = (
    "France", "Germany", "Japan", "Brazil", "Canada", "Poland", "Spain", "Italy", "Chile", "Kenya", "Norway",
    "Peru", "Turkey", "Australia",
)  # fmt: skip
COINS = (
    "Bitcoin:BTC:96000", "Ethereum:ETH:3400", "Solana:SOL:185", "XRP:XRP:2.4", "Dogecoin:DOGE:0.21",
    "Cardano:ADA:0.8",
)  # fmt: skip
COMPANIES = (
    "Apple", "Nvidia", "Microsoft", "Tesla", "Alphabet", "Amazon", "Meta", "Netflix", "Boeing", "Intel",
    "Oracle", "Palantir",
)  # fmt: skip
LABS = (
    "OpenAI", "Google", "Anthropic", "xAI", "Meta", "Mistral", "DeepSeek",
)  # fmt: skip
FILMS = (
    "The Long Harbour", "Paper Moons", "Iron Orchard", "Nightglass", "The Cartographer", "Second Winter",
    "Salt Road",
)  # fmt: skip
SINGERS = (
    "Mara Venn", "Dario Lux", "The Halfways", "Ines Calder", "North Arcade", "Juno Pratt",
)  # fmt: skip
PEOPLE = (
    "Alvarez", "Bennett", "Chowdhury", "Delgado", "Eriksen", "Fontaine", "Grady", "Haddad", "Ivanova", "Jansen",
    "Kowalski", "Lindqvist", "Marchetti", "Novak", "Okafor", "Petrov", "Quinn", "Rossi", "Sato", "Tanaka",
    "Ueda", "Vargas", "Whitlock", "Yilmaz", "Zimmermann",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Template:
    """One sort of event.

    kind: "single" (one market), "match" (two sides), "exclusive" (one of several wins), "ladder" (thresholds).
    `title` is the event's, `market` each market's, with {o} for its option; both use the filled names.
    hours: shortest and longest life from listing to close; pace: volatility in log-odds per square root of an hour.
    """

    category: str  # as Kalshi names it
    tags: str  # as Polymarket tags it, most telling first, joined by |
    series: str
    series_title: str
    kind: str
    title: str
    market: str
    options: str = ""  # joined by |, or the name of a generator in `_options`
    hours: tuple[float, float] = (200.0, 3_000.0)
    pace: float = 0.05
    tick: float = 0.01


T = Template
TEMPLATES: Final = (
    T("Economics", "Economy|Fed Rates|Finance", "KXFEDDECISION", "Fed decision", "exclusive",
      "Fed decision in {month}?", "Will the Fed deliver {o} after the {month} meeting?",
      "a 50+ bps cut|a 25 bps cut|no change|a 25+ bps hike", (300, 1500), 0.05, 0.001),
    T("Economics", "Economy|Inflation", "KXCPI", "CPI", "ladder", "{country} inflation in {month}?",
      "Will {country} inflation be above {o}% in {month}?", "percent", (100, 900), 0.05),
    T("Economics", "Economy|Jobs Report", "KXU3", "Unemployment", "ladder", "{country} unemployment in {month}?",
      "Will {country} unemployment be above {o}% in {month}?", "percent", (100, 900), 0.05),
    T("Politics", "Politics|World Elections", "KXNEXTPM", "Next prime minister", "exclusive",
      "Next prime minister of {country}?", "Will {o} be the next prime minister of {country}?", "people",
      (900, 6000), 0.04, 0.001),
    T("Politics", "Politics|Congress", "KXBILL", "Bills", "single", "Will the {topic} bill pass by {date}?",
      "Will the {topic} bill pass by {date}?", "", (100, 2000), 0.06),
    T("Politics", "Politics|Trump", "KXOUT", "Who leaves office", "single", "Will {person} resign by {date}?",
      "Will {person} resign by {date}?", "", (100, 2500), 0.05, 0.001),
    T("Elections", "Elections|Politics", "KXGOVRACE", "Governor race", "exclusive", "{city} mayoral election winner?",
      "Will {o} win the {city} mayoral election?", "people", (400, 5000), 0.04, 0.001),
    T("World", "Geopolitics|World|Middle East", "KXCEASEFIRE", "Ceasefires", "single",
      "{country} x {country2} agreement by {date}?", "{country} x {country2} agreement by {date}?", "",
      (50, 2000), 0.09),
    T("Sports", "Sports|Games|Soccer", "KXSOCCERGAME", "Soccer game", "match", "{city} vs. {city2}",
      "Will {o} beat {other}?", "teams", (2, 60), 0.25),
    T("Sports", "Sports|Games|NBA", "KXNBAGAME", "Pro basketball game", "match", "{city} vs. {city2} (basketball)",
      "Will {o} win against {other}?", "teams", (1.5, 48), 0.3),
    T("Sports", "Sports|NFL", "KXSB", "Championship", "exclusive", "{year} pro football champion?",
      "Will {o} win the {year} pro football championship?", "cities", (1500, 5000), 0.03, 0.001),
    T("Sports", "Sports|Tennis", "KXTENNIS", "Tennis match", "match", "{person} vs. {person2}",
      "Will {o} beat {other}?", "players", (1.2, 30), 0.3),
    T("Crypto", "Crypto|Crypto Prices|Bitcoin", "KXCOIN", "Crypto price today", "ladder", "{coin} above ___ on {date}?",
      "Will {coin} be above ${o} on {date}?", "coin", (6, 160), 0.2),
    T("Crypto", "Crypto|Up or Down|Recurring|Hide From New", "KXCOINH", "Crypto hourly", "single",
      "{coin} Up or Down - {hour}", "{coin} Up or Down - {hour}?", "updown", (0.5, 2), 0.9),
    T("Financials", "Finance|Stocks|Earnings", "KXEARN", "Earnings", "single",
      "Will {company} beat quarterly earnings?", "Will {company} beat quarterly earnings?", "", (30, 900), 0.07),
    T("Financials", "Finance|Indices|Business", "KXINX", "Index level", "ladder", "S&P 500 close on {date}?",
      "Will the S&P 500 close above {o} on {date}?", "index", (10, 120), 0.15),
    T("Commodities", "Finance|Commodities", "KXGOLD", "Gold price", "ladder", "Gold price on {date}?",
      "Will gold be above ${o} on {date}?", "gold", (10, 240), 0.12),
    T("Companies", "Business|Tech|IPOs", "KXIPO", "IPOs", "single", "Will {company} announce a stock split by {date}?",
      "Will {company} announce a stock split by {date}?", "", (100, 3000), 0.04, 0.001),
    T("Science and Technology", "Tech|AI", "KXTOPMODEL", "Top AI model", "exclusive",
      "Which company has the best AI model end of {month}?",
      "Will {o} have the best AI model at the end of {month}?", "labs", (100, 1500), 0.06, 0.001),
    T("Science and Technology", "Science|Space", "KXLAUNCH", "Launches", "single",
      "Will the {topic} rocket launch by {date}?", "Will the {topic} rocket launch by {date}?", "", (30, 900), 0.08),
    T("Climate and Weather", "Weather|Climate", "KXHIGH", "Highest temperature", "exclusive",
      "Highest temperature in {city} on {date}?", "Will the high temperature in {city} be {o} on {date}?", "degrees",
      (8, 48), 0.18),
    T("Climate and Weather", "Weather|Hurricanes", "KXRAIN", "Rain", "single", "Will it rain in {city} on {date}?",
      "Will it rain in {city} on {date}?", "", (6, 40), 0.25),
    T("Entertainment", "Culture|Movies|Awards", "KXBESTPIC", "Best picture", "exclusive",
      "{year} best picture winner?", "Will {o} win best picture in {year}?", "films", (900, 3000), 0.04, 0.001),
    T("Entertainment", "Culture|Music", "KXTOPSONG", "Top song", "exclusive", "Number one artist in {month}?",
      "Will {o} be the number one artist in {month}?", "singers", (100, 900), 0.07),
    T("Mentions", "Mentions|Culture", "KXMENTION", "Mentions", "exclusive", "What will {person} talk about first?",
      "Will {person} mention {o} first?", "topics", (2, 60), 0.25),
    T("Social", "Culture|Tweet Markets", "KXPOSTS", "Posts", "ladder", "{person} number of posts by {date}?",
      "Will {person} post more than {o} times by {date}?", "posts", (20, 160), 0.1),
    T("Transportation", "Business|Travel", "KXFLIGHTS", "Flights", "ladder", "{city} flight delays on {date}?",
      "Will more than {o} flights be delayed in {city} on {date}?", "delays", (10, 72), 0.15),
)  # fmt: skip
TOPICS = (
    "Border", "Budget", "Climate", "Crypto", "Energy", "Housing", "Health", "Steel", "Trade", "Water",
)  # fmt: skip


@dataclass(slots=True)
class EventPlan:
    """An event about to be listed: its markets, how likely each is, and how lively it is."""

    kind: str
    markets: list[Market]
    chances: list[float]  # probability of outcome 0 of each market
    pace: float
    closes_us: int
    hours: float = field(default=0.0)


def plan_event(venue: str, rng: Random, at_us: int, *, number: int, soon: bool, room: int) -> EventPlan:
    """Draws an event of one to `room` markets, listed at `at_us`. `soon`: it ends within the next two hours."""
    template = rng.choice(TEMPLATES)
    while room < 2 and template.kind != "single":
        template = rng.choice(TEMPLATES)
    low, high = template.hours
    hours = rng.uniform(0.1, 2.0) if soon else low * (high / low) ** rng.random()
    closes_us = at_us + int(hours * 3_600) * US_PER_S
    names = _names(rng, datetime_from_micros(closes_us))
    options = _options(template, rng, names, datetime_from_micros(closes_us))[:room]
    if template.kind == "match" and venue == "polymarket":
        return _versus(template, rng, names, closes_us, at_us, number)
    chances = _chances(template.kind, rng, len(options))
    event = _event_fields(template, venue, names, number, at_us, closes_us)
    markets = [
        Market(
            market=_market_name(venue, event["event"], template, option, index, number),
            title=template.market.format_map(names | {"o": option, "other": _other(options, index)}),
            option=option if template.kind != "single" else "",
            exclusive=template.kind in ("exclusive", "match"),
            outcomes=("Up", "Down") if template.options == "updown" else ("Yes", "No"),
            strike=_strike(option) if template.kind == "ladder" and venue == "kalshi" else None,
            **event,
        )
        for index, option in enumerate(options)
    ]
    return EventPlan(template.kind, markets, chances, template.pace, closes_us, hours)


def _event_fields(
    t: Template, venue: str, names: dict[str, str], number: int, at_us: int, closes_us: int
) -> dict[str, Any]:
    title = t.title.format_map(names)
    closes = datetime_from_micros(closes_us)
    kalshi = venue == "kalshi"
    return {
        "venue": venue,
        "ts_us": at_us,
        "event": f"{t.series}-{closes:%y%b%d}{number:03d}".upper() if kalshi else f"{ids.slug(title)}-{number}",
        "event_title": title,
        "category": t.category,
        "tags": tuple(t.tags.split("|")),
        "series": t.series if kalshi else ids.slug(t.series_title),
        "series_title": t.series_title,
        "tick": t.tick if not kalshi else 0.01,
        "opened_us": at_us - (number % 97 + 1) * HOUR_US,
        "closes_us": closes_us,
        "event_id": str(100_000 + number),
    }


def _versus(t: Template, rng: Random, names: dict[str, str], closes_us: int, at_us: int, number: int) -> EventPlan:
    """Polymarket makes one market of a match: its outcomes are the two sides."""
    event = _event_fields(t, "polymarket", names, number, at_us, closes_us)
    sides = _options(t, rng, names, datetime_from_micros(closes_us))
    market = Market(
        market=ids.condition_id(f"{event['event']}/0/{number}"),
        title=t.title.format_map(names),
        outcomes=(sides[0], sides[1]),
        **event,
    )
    return EventPlan("single", [market], [rng.uniform(0.2, 0.8)], t.pace, closes_us)


def _market_name(venue: str, event: str, template: Template, option: str, index: int, number: int) -> str:
    if venue == "polymarket":
        return ids.condition_id(f"{event}/{index}/{number}")
    if template.kind == "single":
        return f"{event}-Y"
    if template.kind == "ladder":
        return f"{event}-T{_strike(option):g}"
    return f"{event}-{ids.slug(option).replace('-', '').upper()[:4]}{index}"


def _strike(option: str) -> float:
    return float(option.replace(",", ""))


def _other(options: list[str], index: int) -> str:
    return options[1 - index] if len(options) == 2 else "the field"


def _names(rng: Random, closes: datetime) -> dict[str, str]:
    city, city2 = rng.sample(CITIES, 2)
    country, country2 = rng.sample(COUNTRIES, 2)
    person, person2 = rng.sample(PEOPLE, 2)
    coin = rng.choice(COINS)
    return {
        "city": city,
        "city2": city2,
        "country": country,
        "country2": country2,
        "person": person,
        "person2": person2,
        "coin": coin.split(":")[0],
        "coin_spec": coin,
        "company": rng.choice(COMPANIES),
        "topic": rng.choice(TOPICS),
        "month": f"{closes:%B}",
        "date": f"{closes:%B} {closes.day}",
        "hour": f"{closes:%B} {closes.day}, {closes:%H}:{closes:%M} UTC",
        "year": f"{closes.year}",
    }


_LADDERS: Final = {  # middle, relative step
    "percent": (3.5, 0.06),
    "index": (6_900.0, 0.004),
    "gold": (4_200.0, 0.006),
    "posts": (240.0, 0.12),
    "delays": (120.0, 0.15),
}
_POOLS: Final[dict[str, tuple[str, ...]]] = {
    "people": PEOPLE,
    "cities": CITIES,
    "labs": LABS,
    "films": FILMS,
    "singers": SINGERS,
    "topics": TOPICS,
}


def _options(t: Template, rng: Random, names: dict[str, str], closes: datetime) -> list[str]:
    if t.kind == "single":
        return [""]
    if t.options in ("teams", "players"):
        return [names["city"], names["city2"]] if t.options == "teams" else [names["person"], names["person2"]]
    if t.options in _POOLS:
        pool = _POOLS[t.options]
        return rng.sample(pool, min(len(pool), rng.randint(3, 8)))
    if t.options == "degrees":
        base = 40 + closes.timetuple().tm_yday % 50
        return [f"{base + 2 * step}-{base + 2 * step + 1}°" for step in range(5)] + [f"{base + 10}° or above"]
    if t.options == "coin":
        return _thresholds(float(names["coin_spec"].split(":")[2]), 0.025, 5)
    if t.options in _LADDERS:
        return _thresholds(*_LADDERS[t.options], rng.randint(4, 7))
    return t.options.split("|")


def _thresholds(middle: float, relative_step: float, count: int) -> list[str]:
    step = middle * relative_step
    digits = max(0, 1 - math.floor(math.log10(step)))
    return [f"{middle + (place - count // 2) * step:,.{digits}f}" for place in range(count)]


def _chances(kind: str, rng: Random, count: int) -> list[float]:
    if kind == "single":
        return [min(0.985, max(0.015, rng.betavariate(0.8, 1.1)))]
    if kind == "ladder":
        middle, width = rng.uniform(-0.3, 1.1) * count, count / 4
        return [1 / (1 + math.exp((place - middle) / width)) for place in range(count)]
    weights = [rng.paretovariate(0.9) for _ in range(count)]
    return [weight / sum(weights) for weight in weights]
