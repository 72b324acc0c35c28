"""Settings: one tree, read once from the environment (and `.env`), by the CLI only. Unknown keys are refused.

Each group reads the environment names written beside its fields; `.env.example` lists them all and
`tests/kernel/test_settings.py` keeps it complete.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

from pydantic import Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from kernel.errors import UserError

_CONFIG = SettingsConfigDict(env_file=".env", env_file_encoding="utf-8", extra="ignore", frozen=True)


class KafkaSettings(BaseSettings):
    """Where the log and its schema registry are, and how topics are made."""

    model_config = _CONFIG

    kafka_bootstrap_servers: str = Field(
        "127.0.0.1:19092", min_length=3, description="Kafka or Redpanda, host:port[,host:port]"
    )
    schema_registry_url: str = Field(
        "http://127.0.0.1:18081", min_length=8, description="Schema registry, base address"
    )
    kafka_partitions: int = Field(4, ge=1, le=1024, description="Partitions of each topic that we create")
    kafka_replication: int = Field(1, ge=1, le=7, description="Replicas of each topic that we create")


class ClickHouseSettings(BaseSettings):
    """Where the store is, and how long it keeps what."""

    model_config = _CONFIG

    clickhouse_host: str = Field("127.0.0.1", min_length=1, description="ClickHouse host")
    clickhouse_port: int = Field(18123, ge=1, le=65535, description="ClickHouse HTTP port")
    clickhouse_user: str = Field("default", description="ClickHouse user")
    clickhouse_password: SecretStr = Field(SecretStr(""), description="ClickHouse password")
    clickhouse_database: str = Field("movers", pattern=r"^[a-zA-Z_]\w*$", description="Database for all our tables")
    snapshots_retention_days: int = Field(14, ge=1, description="Days that ticks are kept in the store")
    bars_retention_days: int = Field(365, ge=1, description="Days that 1-minute bars are kept in the store")
    movers_cache_retention_days: int = Field(30, ge=1, description="Days that ranked movers are kept in the store")


class CollectorSettings(BaseSettings):
    """How the producers collect."""

    model_config = _CONFIG

    collector_price_interval: float = Field(60, gt=0, description="Venue seconds between two sweeps of all prices")
    collector_markets_interval: float = Field(600, gt=0, description="Venue seconds between two crawls of all metadata")
    collector_hot_interval: float = Field(15, gt=0, description="Venue seconds between two polls of the hot markets")
    collector_hot_markets: int = Field(200, ge=0, description="Busiest markets of a venue polled at the hot interval")
    collector_min_pause: float = Field(0.2, ge=0, description="Wall seconds that pass at least between two sweeps")
    collector_max_skew_s: float = Field(5, gt=0, description="Difference of our clock and a venue's that gets flagged")
    spill_dir: Path = Field(Path(".movers/spill"), description="Where a producer keeps messages Kafka will not take")


class PolymarketSettings(BaseSettings):
    """Polymarket's public addresses."""

    model_config = _CONFIG

    polymarket_gamma_url: str = Field("https://gamma-api.polymarket.com", description="Gamma (metadata) base address")
    polymarket_clob_url: str = Field("https://clob.polymarket.com", description="CLOB (books) base address")
    polymarket_ws_url: str = Field(
        "wss://ws-subscriptions-clob.polymarket.com/ws/market", description="Market channel (streaming)"
    )
    polymarket_requests_per_s: float = Field(10, gt=0, description="Requests a second at the most, per host")


class KalshiSettings(BaseSettings):
    """Kalshi's public addresses."""

    model_config = _CONFIG

    kalshi_api_url: str = Field("https://external-api.kalshi.com/trade-api/v2", description="REST base address")
    kalshi_ws_url: str = Field(
        "wss://external-api-ws.kalshi.com/trade-api/ws/v2", description="WebSocket address (streaming)"
    )
    kalshi_requests_per_s: float = Field(5, gt=0, description="Requests a second at the most")


class RuleSettings(BaseSettings):
    """What counts as a move worth telling."""

    model_config = _CONFIG

    windows: Annotated[tuple[int, ...], NoDecode] = Field(
        (300, 900, 3600, 86400), description="Windows in seconds, comma-separated, shortest first"
    )
    alert_threshold_pp: float = Field(
        10, gt=0, le=100, description="A move of so many percentage points opens an alert"
    )
    alert_cooldown_s: int = Field(900, ge=0, description="Seconds after an episode in which none opens in its place")
    min_volume_24h: float = Field(1000, ge=0, description="US dollars traded in 24 hours that a mover needs")
    max_spread_pp: float = Field(5, gt=0, le=100, description="Spread in percentage points that a mover may have")

    @field_validator("windows", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        return tuple(part.strip() for part in value.split(",")) if isinstance(value, str) else value

    @field_validator("windows")
    @classmethod
    def _ordered(cls, value: tuple[int, ...]) -> tuple[int, ...]:
        if not value or list(value) != sorted(set(value)) or value[0] < 60 or value[-1] > 86_400:
            raise ValueError("windows must be distinct, ascending, between 60 and 86400 seconds")
        return value


class ProcessSettings(BaseSettings):
    """How a process of ours runs."""

    model_config = _CONFIG

    movers_home: Path = Field(Path(".movers"), description="Where the one-machine stack keeps data and caches")
    state_dir: Path = Field(Path(".movers/state"), description="Where processors keep their state")
    max_bad_share: float = Field(
        0.5, gt=0, le=1, description="Share of unusable input above which a process stops loudly"
    )
    log_level: str = Field("info", pattern=r"^(?i:debug|info|warning|error)$", description="debug to error")
    metrics_host: str = Field("127.0.0.1", min_length=1, description="Address that /metrics and /health listen on")
    metrics_port: int = Field(0, ge=0, le=65535, description="Port for /metrics and /health; 0 = none")
    dashboard_host: str = Field("127.0.0.1", description="Address the dashboard listens on")
    dashboard_port: int = Field(8501, ge=1, le=65535, description="Port the dashboard listens on")


class Settings:
    """The whole tree. Made by `load()`; parts are handed down, nobody else reads the environment."""

    def __init__(self) -> None:
        self.kafka = KafkaSettings()
        self.clickhouse = ClickHouseSettings()
        self.collector = CollectorSettings()
        self.polymarket = PolymarketSettings()
        self.kalshi = KalshiSettings()
        self.rules = RuleSettings()
        self.process = ProcessSettings()

    def groups(self) -> tuple[BaseSettings, ...]:
        """The groups, in the order they are documented."""
        return (self.kafka, self.clickhouse, self.collector, self.polymarket, self.kalshi, self.rules, self.process)


def load() -> Settings:
    """Reads the environment and `.env`.

    Raises:
        UserError: a value does not fit, or `.env` holds a key nobody knows.
    """
    try:
        settings = Settings()
    except ValidationError as error:
        first = error.errors()[0]
        name = str(first["loc"][0]).upper() if first["loc"] else "settings"
        raise UserError(f"setting {name}: {first['msg']} (got {first['input']!r})") from error
    _refuse_unknown(settings)
    return settings


def given() -> set[str]:
    """Names that the environment or `.env` set; every other setting stands at its default."""
    return {name.upper() for name in os.environ} | {key.upper() for _, key in _dotenv_keys()}


def _refuse_unknown(settings: Settings) -> None:
    """A misspelt key in `.env` is an error. The environment itself is shared with the world, so it is not checked."""
    known = {name.upper() for group in settings.groups() for name in type(group).model_fields}
    for number, key in _dotenv_keys():
        if key.upper() not in known:
            raise UserError(f".env line {number}: unknown setting {key}; `movers config` lists the known ones")


def _dotenv_keys() -> list[tuple[int, str]]:
    """Line number and key of each setting in `.env`."""
    path = Path(".env")
    if not path.is_file() or not os.access(path, os.R_OK):
        return []
    lines = enumerate(path.read_text("utf-8").splitlines(), start=1)
    keys = [(number, line.split("=", 1)[0].removeprefix("export ").strip()) for number, line in lines]
    return [(number, key) for number, key in keys if key and not key.startswith("#")]
