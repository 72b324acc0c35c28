"""The markets of the seeded world: invented questions in the venues' style, over two venues and twelve categories."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class SeedMarket:
    """One market: where it starts (probability 0..1), its size (US dollars a day), its life, and its jumps.

    `jumps`: (minutes before now, change in log-odds). `ends_in_h`: hours from now. `event`: empty when it stands alone;
    the markets of an event exclude each other.
    """

    ticker: str
    event: str
    category: str
    title: str
    start: float
    volume_24h_usd: float
    ends_in_h: float
    jumps: tuple[tuple[int, float], ...]

    @property
    def venue(self) -> str:
        return "polymarket" if self.ticker.startswith("0x") else "kalshi"

    @property
    def event_key(self) -> str:
        return self.event.upper().replace(" ", "-")


_SENATE = "Who wins the Ohio Senate race?"
_FED = "Fed decision in December"
_CUP = "Champions League winner"
_LONG_TITLE = (
    "Will the committee vote this week, and will the chair then bring the bill with the longest title that ever stood "
    "on a board to the floor?"
)

_JUMPS: dict[str, tuple[tuple[int, float], ...]] = {
    "0x01": ((3, 0.75),),
    "0x02": ((3, -0.72),),
    "FED-HOLD": ((42, -0.9),),
    "FED-CUT25": ((42, 0.95),),
    "0x04": ((8, 0.66), (300, -0.5)),
    "SOL-250": ((11, -0.8),),
    "0x07": ((170, -0.4),),
    "NBA-BOSNYK": ((2, 1.1), (19, -0.7)),
    "NFL-KCBUF": ((90, 0.35),),
    "0x09": ((27, 0.7),),
    "SCOTUS-TARIFF": ((600, 0.6),),
    "CPI-NOV": ((14, -0.55),),
    "SPX-6900": ((5, -0.85), (63, 0.5)),
    "0x0c": ((21, 0.85),),
    "0x0d": ((480, -0.9),),
    "HIGHNY": ((35, 0.9),),
    "0x0e": ((52, -0.6),),
    "ROTTEN": ((12, 0.7),),
    "0x11": ((9, 0.5),),
    "MENTION-TARIFF": ((4, 1.6),),
    "0x12": ((6, 0.9),),
}
"""Chosen so that every window has movers, a thin market moves too, and one market settles."""

_ROWS: tuple[tuple[str, str, str, str, float, float, float], ...] = (
    ("0x01", _SENATE, "elections", "Will the Democrat win the Ohio Senate race?", 0.44, 1_840_000, 310),
    ("0x02", _SENATE, "elections", "Will the Republican win the Ohio Senate race?", 0.54, 1_620_000, 310),
    ("0x03", _SENATE, "elections", "Will an independent win the Ohio Senate race?", 0.02, 88_000, 310),
    ("FED-HOLD", _FED, "economics", "Will the Fed hold rates in December?", 0.62, 5_300_000, 420),
    ("FED-CUT25", _FED, "economics", "Will the Fed cut by 25 bp in December?", 0.33, 4_100_000, 420),
    ("FED-CUT50", _FED, "economics", "Will the Fed cut by more than 25 bp in December?", 0.04, 390_000, 420),
    ("0x04", "", "crypto", "Will Bitcoin close above $120,000 on Friday?", 0.37, 2_260_000, 76),
    ("0x05", "", "crypto", "Will Ethereum reach $6,000 this year?", 0.18, 740_000, 900),
    ("SOL-250", "", "crypto", "Will Solana trade above $250 at 5 pm?", 0.55, 210_000, 3),
    ("0x06", _CUP, "sports", "Will Arsenal win the Champions League?", 0.21, 960_000, 4500),
    ("0x07", _CUP, "sports", "Will Real Madrid win the Champions League?", 0.24, 1_100_000, 4500),
    ("0x08", _CUP, "sports", "Will Bayern win the Champions League?", 0.17, 640_000, 4500),
    ("NBA-BOSNYK", "", "sports", "Will Boston beat New York tonight?", 0.58, 1_450_000, 2),
    ("NFL-KCBUF", "", "sports", "Will Kansas City beat Buffalo?", 0.47, 2_900_000, 26),
    ("0x09", "", "politics", "Will the government shut down before 1 December?", 0.29, 880_000, 190),
    ("0x0a", "", "politics", "Will the Speaker be replaced this year?", 0.09, 120_000, 910),
    ("SCOTUS-TARIFF", "", "politics", "Will the Supreme Court strike down the tariffs?", 0.71, 1_730_000, 700),
    ("CPI-NOV", "", "economics", "Will November CPI come in above 3.0 %?", 0.46, 930_000, 450),
    ("JOBS-NOV", "", "economics", "Will the economy add more than 150,000 jobs in November?", 0.39, 510_000, 280),
    ("SPX-6900", "", "finance", "Will the S&P 500 close above 6,900 today?", 0.64, 1_980_000, 4),
    ("GOLD-4300", "", "finance", "Will gold close above $4,300 this week?", 0.27, 330_000, 98),
    ("0x0b", "", "finance", "Will a big bank announce a merger this month?", 0.06, 41_000, 180),
    ("0x0c", "", "world", "Will a ceasefire be signed before the new year?", 0.33, 3_400_000, 920),
    ("0x0d", "", "world", "Will the summit in Geneva take place in November?", 0.74, 610_000, 170),
    ("OPEC-CUT", "", "world", "Will OPEC announce a production cut in December?", 0.22, 260_000, 500),
    ("HIGHNY", "", "climate", "Will the high in New York be above 52 °F today?", 0.57, 340_000, 6),
    ("HURR", "", "climate", "Will another hurricane be named this season?", 0.12, 77_000, 200),
    ("0x0e", "", "science_tech", "Will a new frontier model top the leaderboard this month?", 0.66, 1_210_000, 180),
    ("0x0f", "", "science_tech", "Will Starship reach orbit on its next flight?", 0.81, 470_000, 600),
    ("ROTTEN", "", "culture", "Will the film score above 85 on Rotten Tomatoes?", 0.49, 190_000, 50),
    ("0x10", "", "culture", "Will the album be number one next week?", 0.88, 260_000, 160),
    ("0x11", "", "politics", _LONG_TITLE, 0.35, 56_000, 70),
    ("MENTION-TARIFF", "", "mentions", "Will the President say “tariff” at the press conference?", 0.93, 95_000, 1),
    ("0x12", "", "other", "Will the thin market move without trades?", 0.4, 180, 2000),
)

MARKETS = tuple(SeedMarket(*row, _JUMPS.get(row[0], ())) for row in _ROWS)
"""All of them. Polymarket's tickers begin with 0x."""
