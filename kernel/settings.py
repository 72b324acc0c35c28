"""Settings: groups of typed values under the names of the environment.

`load` is the one place that reads the environment. What it returns is handed down; children of ours are given theirs.
A venue's group stands in the venue's folder, and `movers.settings` knows them all; `.env.example` lists every setting.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Annotated, Literal, Self, TypeVar
from urllib.parse import urlsplit

from dotenv import dotenv_values
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    field_validator,
    model_validator,
)

from kernel.errors import UserError
from schemas.words import ScoreName

_DOTENV = Path(".env")

RENAMED = {
    "COLLECTOR_MARKETS_INTERVAL": "COLLECTOR_MARKET_INTERVAL",
    "COLLECTOR_MAX_BAD_SHARE": "MAX_BAD_SHARE",
    "COLLECTOR_MIN_PAUSE": "COLLECTOR_MIN_PAUSE_S",
    "SPILL_MAX_MB": "SPILL_MAX_MIB",
}
"""Old name to new, of the same meaning: who upgrades need not touch what was set. `_present` reads them."""


COMPOSE_NAMES = frozenset(
    {
        *("MOVERS_IMAGE", "BASE_IMAGE", "PIP_INDEX_URL", "PIP_CERT", "REDPANDA_IMAGE", "CLICKHOUSE_IMAGE"),
        *("CLICKHOUSE_OPEN_FILES", "CONSOLE_IMAGE", "PROMETHEUS_IMAGE", "GRAFANA_IMAGE", "KAFKA_PORT"),
        *("SCHEMA_REGISTRY_PORT", "CLICKHOUSE_HTTP_PORT", "CONSOLE_PORT", "PROMETHEUS_PORT", "GRAFANA_PORT"),
        "WHOLE_VENUE_COLLECTORS",
    }
)
"""What docker-compose.yml reads from the same `.env` and no process of ours does (tests/compose holds them equal)."""


class Group(BaseModel):
    """Settings that belong together: a field `x_y` is the setting X_Y, its description what `movers config` shows."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True, allow_inf_nan=False)

    @classmethod
    def names(cls) -> tuple[str, ...]:
        """Names of its settings, in order."""
        return tuple(field.upper() for field in cls.model_fields)

    @classmethod
    def secret_files(cls) -> tuple[str, ...]:
        """For each secret X the name X_FILE, which may name a file with the secret instead."""
        return tuple(f"{field.upper()}_FILE" for field in cls.model_fields if cls.is_secret(field))

    @classmethod
    def is_secret(cls, field: str) -> bool:
        """Whether a field's value must be shown nowhere."""
        return cls.model_fields[field].annotation is SecretStr


GroupT = TypeVar("GroupT", bound=Group)


def _readable(path: Path | None) -> Path | None:
    if path is not None and not os.access(path, os.R_OK):
        raise ValueError("no such file, or not to be read")
    return path


def _named(value: object) -> object:
    if value == "":
        raise ValueError("is empty, name a folder")  # pathlib takes it for the folder one stands in
    return value


Folder = Annotated[Path, BeforeValidator(_named)]
"""A folder of ours; it is made where it is missing."""

OptionalFile = Annotated[Path | None, BeforeValidator(lambda value: value or None), AfterValidator(_readable)]
"""A file that need not be given: empty is none. One that is given must be there."""


def _address(*schemes: str) -> AfterValidator:
    """Takes addresses that begin with one of the schemes and name a host."""

    def check(value: str) -> str:
        try:
            parts = urlsplit(value)
            named = parts.scheme in schemes and bool(parts.hostname) and parts.port != 0
        except ValueError:
            named = False
        if not named:
            raise ValueError(f"no address like {schemes[-1]}://host:port/path")
        return value

    return AfterValidator(check)


HttpAddress = Annotated[str, _address("http", "https")]
SocketAddress = Annotated[str, _address("ws", "wss")]

LONGEST_DAYS = 18_250
"""Days that the store can be told to keep rows: fifty years. It counts their end in seconds of 32 bits, which pass in
2106: an end beyond that lies in the past, and the rows are deleted at once."""

ClickHouseRole = Literal["migrate", "write", "read"]
"""What a process does with the store; each may have a user of its own, with no more rights than it needs."""


class KafkaSettings(Group):
    """Where the log and its schema registry are, and how topics are made."""

    kafka_bootstrap_servers: str = Field(
        "127.0.0.1:19092", min_length=3, description="Kafka or Redpanda, host:port[,host:port]"
    )
    schema_registry_url: HttpAddress = Field("http://127.0.0.1:18081", description="Schema registry, base address")
    kafka_security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = Field(
        "PLAINTEXT", description="PLAINTEXT, SSL, SASL_PLAINTEXT or SASL_SSL"
    )
    kafka_sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = Field(
        "SCRAM-SHA-512", description="PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512; for the SASL protocols"
    )
    kafka_username: str = Field("", description="User, for the SASL protocols")
    kafka_password: SecretStr = Field(SecretStr(""), description="Password, for the SASL protocols")
    kafka_ca_file: OptionalFile = Field(
        None, description="PEM file of the CA that signed Kafka's certificate; empty = the system's CAs"
    )
    kafka_certificate_file: OptionalFile = Field(
        None, description="PEM file of our own certificate, where Kafka wants one"
    )
    kafka_key_file: OptionalFile = Field(None, description="PEM file of the key of our own certificate")
    kafka_key_password: SecretStr = Field(SecretStr(""), description="Password of that key, if it has one")
    schema_registry_username: str = Field("", description="User of the schema registry, where it wants one")
    schema_registry_password: SecretStr = Field(SecretStr(""), description="Password of the schema registry")
    schema_registry_ca_file: OptionalFile = Field(
        None, description="PEM file of the CA of the registry's certificate; empty = the system's CAs"
    )
    kafka_partitions: int = Field(4, ge=1, le=1024, description="Partitions of each topic that we create")
    kafka_replication: int = Field(1, ge=1, le=7, description="Replicas of each topic that we create")

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if self.kafka_security_protocol.startswith("SASL") and not (
            self.kafka_username and self.kafka_password.get_secret_value()
        ):
            raise ValueError(
                f"KAFKA_SECURITY_PROTOCOL={self.kafka_security_protocol} needs KAFKA_USERNAME and KAFKA_PASSWORD"
            )
        if (self.kafka_certificate_file is None) != (self.kafka_key_file is None):
            raise ValueError("KAFKA_CERTIFICATE_FILE and KAFKA_KEY_FILE go together")
        return self


class ClickHouseSettings(Group):
    """Where the store is, and how long it keeps what."""

    clickhouse_host: str = Field("127.0.0.1", min_length=1, description="ClickHouse host")
    clickhouse_port: int = Field(18123, ge=1, le=65535, description="ClickHouse HTTP port")
    clickhouse_secure: bool = Field(False, description="Whether ClickHouse is reached over TLS")
    clickhouse_ca_file: OptionalFile = Field(
        None, description="PEM file of the CA of ClickHouse's certificate; empty = the system's CAs"
    )
    clickhouse_user: str = Field("default", description="ClickHouse user that writes rows")
    clickhouse_password: SecretStr = Field(SecretStr(""), description="Password of that user")
    clickhouse_migrate_user: str = Field("", description="User that makes tables; empty = the one that writes")
    clickhouse_migrate_password: SecretStr = Field(SecretStr(""), description="Password of the user that makes tables")
    clickhouse_read_user: str = Field(
        "", description="User that dashboard and commands read as; empty = the one that writes"
    )
    clickhouse_read_password: SecretStr = Field(SecretStr(""), description="Password of the user that reads")
    clickhouse_database: str = Field("movers", pattern=r"^[a-zA-Z_]\w*$", description="Database for all our tables")
    snapshots_retention_days: int = Field(
        14, ge=1, le=LONGEST_DAYS, description="Days that ticks are kept in the store"
    )
    bars_retention_days: int = Field(
        365, ge=1, le=LONGEST_DAYS, description="Days that 1-minute bars are kept in the store"
    )
    movers_cache_retention_days: int = Field(
        30, ge=1, le=LONGEST_DAYS, description="Days that ranked movers are kept in the store"
    )

    def login(self, role: ClickHouseRole) -> tuple[str, str]:
        """User and password of a role. Where the role has no user of its own, the one that writes."""
        own = {
            "migrate": (self.clickhouse_migrate_user, self.clickhouse_migrate_password),
            "read": (self.clickhouse_read_user, self.clickhouse_read_password),
            "write": (self.clickhouse_user, self.clickhouse_password),
        }
        user, password = own[role] if own[role][0] else own["write"]
        return user, password.get_secret_value()


class CollectorSettings(Group):
    """How the producers collect."""

    collector_price_interval: float = Field(15, gt=0, description="Venue seconds between two sweeps of all prices")
    collector_market_interval: float = Field(900, gt=0, description="Venue seconds between two crawls of all metadata")
    collector_hot_interval: float = Field(15, gt=0, description="Venue seconds between two polls of the hot markets")
    collector_hot_markets: int = Field(200, ge=0, description="Busiest markets of a venue polled at the hot interval")
    collector_history_markets: int = Field(
        500, ge=0, description="Busiest markets of a venue whose history is asked for after a start; 0 = none"
    )
    collector_min_pause_s: float = Field(0.2, ge=0, description="Wall seconds that pass at least between two sweeps")
    collector_max_skew_s: float = Field(5, gt=0, description="Difference of our clock and a venue's that gets flagged")
    markets_topic_days: int = Field(
        45, ge=31, description="Days that a market which has ended stays on the topic markets; alerts stay 30"
    )
    spill_dir: Folder = Field(Path(".movers/spill"), description="Where a producer keeps messages Kafka will not take")
    spill_max_mib: int = Field(4096, ge=1, description="MiB that each producer may keep there")


class RuleSettings(Group):
    """What counts as a move worth telling."""

    windows: tuple[int, ...] = Field(
        (300, 900, 3600, 86400), description="Windows in seconds, comma-separated, shortest first"
    )
    score: ScoreName = Field("plain", description="How moves are ranked: plain (move x log of volume) or signal")
    alert_rules: str = Field(
        "", description="TOML or JSON file with named alert rules; none: one rule of the numbers below"
    )
    alert_threshold_pp: float = Field(6, gt=0, le=100, description="A move of so many percentage points opens an alert")
    alert_cooldown_s: int = Field(
        900,
        ge=0,
        le=366 * 86_400,
        description="Seconds after an episode in which only a move of twice the threshold opens one",
    )
    min_volume_24h: float = Field(10_000, ge=0, description="US dollars traded in 24 hours that a mover needs")
    min_window_usd: float = Field(
        100, ge=0, description="US dollars traded inside the window that a mover needs, where the venue tells"
    )
    max_spread_pp: float = Field(2, gt=0, le=100, description="Spread in percentage points that a mover may have")

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


class ProcessSettings(Group):
    """How a process of ours runs."""

    movers_home: Folder = Field(Path(".movers"), description="Where the one-machine stack keeps data and caches")
    state_dir: Folder = Field(Path(".movers/state"), description="Where processors keep their state")
    max_bad_share: float = Field(
        0.5, gt=0, le=1, description="Share of unusable input above which a process stops loudly"
    )
    java_home: str = Field("", description="Java that the one-machine Kafka runs on; empty = the one installed with us")
    log_level: str = Field("info", pattern=r"^(?i:debug|info|warning|error)$", description="debug to error")
    disk_low_mib: int = Field(2048, ge=0, description="MiB free under MOVERS_HOME below which the stack warns")
    disk_stop_mib: int = Field(500, ge=0, description="MiB free under MOVERS_HOME below which the stack stops in order")
    metrics_host: str = Field("127.0.0.1", min_length=1, description="Address that /metrics and /health listen on")
    metrics_port: int = Field(0, ge=0, le=65535, description="Port for /metrics and /health; 0 = none")
    metrics_token: SecretStr = Field(
        SecretStr(""), description="What other machines show for /metrics and /health: Authorization: Bearer …"
    )
    dashboard_host: str = Field("127.0.0.1", description="Address the dashboard listens on")
    dashboard_port: int = Field(8501, ge=1, le=65535, description="Port the dashboard listens on")


class Settings:
    """Every setting that was given, and the groups made of them when first asked for.

    Args:
        values: settings by name in capitals; names that no group knows are left alone.
        overrides: what the caller of `load` put on top of the environment, to be handed to children.
    """

    def __init__(self, values: Mapping[str, str] | None = None, overrides: Mapping[str, str] | None = None) -> None:
        self.overrides = dict(overrides or {})
        self._values = {**(values or {}), **self.overrides}
        self._groups: dict[type[Group], Group] = {}

    @property
    def given(self) -> frozenset[str]:
        """Names that were set; every other setting stands at its default."""
        return frozenset(self._values)

    def of(self, group: type[GroupT]) -> GroupT:
        """A group of settings.

        Raises:
            UserError: a value does not fit.
        """
        made = self._groups.get(group)
        if made is None:
            made = self._groups[group] = _make(group, self._values)
        assert isinstance(made, group)  # noqa: S101  what `_make` returns
        return made

    @property
    def kafka(self) -> KafkaSettings:
        """Where the log is."""
        return self.of(KafkaSettings)

    @property
    def clickhouse(self) -> ClickHouseSettings:
        """Where the store is."""
        return self.of(ClickHouseSettings)

    @property
    def collector(self) -> CollectorSettings:
        """How the producers collect."""
        return self.of(CollectorSettings)

    @property
    def rules(self) -> RuleSettings:
        """What counts as a move worth telling."""
        return self.of(RuleSettings)

    @property
    def process(self) -> ProcessSettings:
        """How a process runs."""
        return self.of(ProcessSettings)


def load(overrides: Mapping[str, str] | None = None) -> Settings:
    """Reads `.env` and the environment, which goes over it; `overrides` go over both."""
    environment = {name.upper(): value for name, value in os.environ.items()}
    return Settings({**_present(dict(_dotenv())), **_present(environment)}, overrides)


def refuse_unknown(groups: Callable[[], Iterable[type[Group]]]) -> None:
    """A misspelt key in `.env` is an error. The environment itself is shared with the world, so it is not checked.

    Raises:
        UserError: `.env` holds a key that none of the groups knows.
    """
    keys = _dotenv()
    known = {*COMPOSE_NAMES, *RENAMED}
    if keys:
        known |= {name for group in groups() for name in (*group.names(), *group.secret_files())}
    for name, _ in keys:
        if name not in known and not name.startswith("COMPOSE_"):
            raise UserError(f".env line {_line_of(name)}: unknown setting {name}; `movers config` lists the known ones")


def _line_of(name: str) -> int:
    """Where `.env` sets a name, as python-dotenv reads a line: indented, exported, in quotes, or without a value."""
    sets = re.compile(rf"\s*(EXPORT\s+)?'?{re.escape(name)}'?\s*(=|#|$)")
    lines = _DOTENV.read_text("utf-8").upper().splitlines()
    return next(number for number, line in enumerate(lines, start=1) if sets.match(line))


def _make(group: type[GroupT], values: Mapping[str, str]) -> GroupT:
    try:
        return group.model_validate(_given(group, values))
    except ValidationError as error:
        first = error.errors()[0]
        problem = first["msg"].removeprefix("Value error, ")
        if not first["loc"]:  # about several settings, which the text names
            raise UserError(problem) from None
        field = str(first["loc"][0])
        got = "" if group.is_secret(field) else f" (got {str(first['input'])!r})"
        raise UserError(f"setting {field.upper()}: {problem}{got}") from None


def _given(group: type[Group], values: Mapping[str, str]) -> dict[str, str]:
    """What was given of a group, by field. A secret X may stand in the file that X_FILE names."""
    found = {name.lower(): values[name] for name in group.names() if name in values}
    for name in group.secret_files():
        path = values.get(name)
        if not path:
            continue
        field = name.removesuffix("_FILE").lower()
        if found.get(field):
            raise UserError(f"{field.upper()} and {name} are both set: one is enough")
        try:
            found[field] = Path(path).read_text("utf-8").rstrip("\n")
        except OSError as error:
            raise UserError(f"setting {name}: {path}: {error.strerror}") from error
    return found


def _present(values: Mapping[str, str]) -> dict[str, str]:
    """Values under the names that settings have now. Of one that is given under both the present name counts."""
    old = {RENAMED[name]: value for name, value in values.items() if name in RENAMED}
    return {**old, **{name: value for name, value in values.items() if name not in RENAMED}}


def _dotenv() -> list[tuple[str, str]]:
    """Name in capitals and value of each setting in `.env`; dollar signs mean themselves."""
    if not _DOTENV.is_file() or not os.access(_DOTENV, os.R_OK):
        return []
    return [(name.upper(), value or "") for name, value in dotenv_values(_DOTENV, interpolate=False).items()]
