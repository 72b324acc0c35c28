"""The events that cross the wire, as frozen dataclasses.

The `.avsc` files beside this module are the truth; `tests/schemas/test_events_match_avro.py` holds names, order,
types, nullability and defaults equal. Units stand in the names: `_us` microseconds UTC, `_ppm` probability in parts
per million (1_000_000 = certain), `_pp` percentage points, `_usd` US dollars.
"""

from __future__ import annotations

from schemas.frozen import dataclass
from schemas.words import (
    AlertKind,
    Category,
    CloseReason,
    Direction,
    EpisodeState,
    Errand,
    Factor,
    FeedWord,
    MarketStatus,
    NoMove,
    PriceBasis,
    RawKind,
    Severity,
    TickFlag,
    TickSource,
    TimeBasis,
    UnknownCategory,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class RawMessage:
    """One answer or frame of a venue, the bytes as received."""

    event_id: str
    venue: str
    kind: RawKind
    channel: str
    connection_id: str
    sequence: int
    errand: Errand | None = None
    promise_s: int = 0
    ts_event_us: int | None = None
    age_s: int | None = None
    ts_asked_us: int | None = None
    ts_received_us: int
    http_status: int | None = None
    content_type: str
    body: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Market:
    """Everything slow about one market. The newest message of a key is the truth (compacted topic)."""

    event_id: str
    venue: str
    market_id: str
    venue_market_id: str
    token_ids: tuple[str, ...]
    outcomes: tuple[str, ...]
    title: str
    event_key: str
    event_title: str
    mutually_exclusive: bool
    category: Category
    venue_category: str
    tags: tuple[str, ...]
    status: MarketStatus
    result: str | None = None
    open_ts_us: int | None = None
    close_ts_us: int | None = None
    url: str
    ts_event_us: int
    ts_received_us: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Tick:
    """Everything fast about one market: the quote of outcome 0 (YES) at one moment."""

    event_id: str
    venue: str
    market_id: str
    token_id: str
    ts_event_us: int
    ts_received_us: int
    ts_venue_us: int | None = None
    ts_sent_us: int | None = None
    ts_event_basis: TimeBasis
    source: TickSource
    bid_ppm: int | None = None
    ask_ppm: int | None = None
    last_ppm: int | None = None
    price_ppm: int | None = None
    price_basis: PriceBasis
    bid_size_contracts: float | None = None
    ask_size_contracts: float | None = None
    volume_24h_usd: float | None = None
    volume_total_usd: float | None = None
    volume_total_contracts: float | None = None
    trades: int | None = None
    market_status: MarketStatus
    close_ts_us: int | None = None
    heartbeat_s: int
    flags: tuple[TickFlag, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class WindowMove:
    """The move over one window."""

    window_s: int
    price_then_ppm: int | None = None
    ts_then_us: int | None = None
    move_pp: float | None = None
    score: float | None = None
    coverage_s: int
    volume_usd: float | None = None
    trades: int | None = None
    computed_across_gap: bool
    basis_then: PriceBasis | None = None
    no_move: NoMove | None = None
    reference_ppm: int | None = None
    onset_us: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Move:
    """One market at one moment: how far its probability has moved over each window."""

    event_id: str
    venue: str
    market_id: str
    token_id: str
    ts_event_us: int
    ts_received_us: int
    price_ppm: int | None = None
    price_basis: PriceBasis
    spread_ppm: int | None = None
    volume_24h_usd: float | None = None
    market_status: MarketStatus
    seconds_to_close: int | None = None
    step_pp: float | None = None
    is_settling: bool
    windows: tuple[WindowMove, ...]
    standing_ppm: int | None = None
    usual_step: float | None = None
    changes: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """One-minute open, high, low, close of one token."""

    event_id: str
    venue: str
    market_id: str
    token_id: str
    ts_event_us: int
    ts_received_us: int
    bar_start_us: int
    bar_s: int
    open_ppm: int
    high_ppm: int
    low_ppm: int
    close_ppm: int
    volume_usd: float | None = None
    trades: int | None = None
    ticks: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Alert:
    """A change of state of one alert episode."""

    event_id: str
    alert_id: str
    state: EpisodeState
    kind: AlertKind
    venue: str
    market_id: str
    token_id: str
    ts_event_us: int
    ts_received_us: int
    title: str
    category: Category | UnknownCategory
    url: str
    window_s: int
    direction: Direction
    opened_at_us: int
    price_ppm: int | None = None
    price_then_ppm: int | None = None
    move_pp: float | None = None
    peak_move_pp: float
    threshold_pp: float
    score: float | None = None
    volume_24h_usd: float | None = None
    spread_ppm: int | None = None
    seconds_to_close: int | None = None
    computed_across_gap: bool
    close_reason: CloseReason | None = None
    rule_version: str
    rule: str = "default"
    windows_s: tuple[int, ...] = ()
    severity: Severity = "low"
    reason: str = ""
    factors_for: tuple[Factor, ...] = ()
    factors_against: tuple[Factor, ...] = ()
    onset_ts_us: int | None = None
    window_volume_usd: float | None = None
    window_trades: int | None = None
    event_key: str = ""
    event_title: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedStatus:
    """State of one collector's feed."""

    event_id: str
    venue: str
    shard: str
    state: FeedWord
    ts_event_us: int
    ts_received_us: int
    detail: str
    markets_tracked: int
    markets_stale: int
    ticks_published: int
    bad_messages: int
    gap_started_us: int | None = None
    clock_skew_us: int | None = None
    market_ids: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadLetter:
    """Something that could not be used, with the reason."""

    event_id: str
    venue: str
    stage: str
    reason: str
    detail: str
    channel: str
    partition: int | None = None
    offset: int | None = None
    ts_received_us: int
    body: bytes


Event = RawMessage | Market | Tick | Move | Bar | Alert | FeedStatus | DeadLetter
