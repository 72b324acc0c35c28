"""What the commands print: rows as a table or as JSON lines, the top movers, the alerts as they come."""

from __future__ import annotations

import dataclasses
import json
import sys
import uuid
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from math import isfinite

from pydantic import SecretStr
from rich.console import Console
from rich.table import Table

from dashboard.store import query_text
from kernel.errors import UserError
from kernel.kafka.readers import consumer, read_messages
from kernel.kafka.topics import require_topics
from kernel.schema_registry import SchemaRegistry
from kernel.settings import Group, RuleSettings, Settings
from movers.store import Row, query
from schemas.codec import Codec, UndecodableError
from schemas.events import Alert
from schemas.topics import ALERTS
from schemas.units import PPM_PER_PP, datetime_from_micros, window_label

_TOP_COLUMNS = ("title", "venue", "price_now", "move_pp", "score", "volume_24h_usd", "ts", "market_id")


def print_rows(rows: Sequence[Row], *, as_json: bool) -> None:
    """Prints rows on stdout: an aligned table, or one JSON object a line."""
    if as_json:
        for row in rows:
            sys.stdout.write(json.dumps(_finite(row), default=_plain) + "\n")
        return
    if not rows:
        sys.stderr.write("no rows\n")
        return
    table = Table(box=None, header_style="bold", pad_edge=False)
    for name in rows[0]:
        table.add_column(name, overflow="fold")
    for row in rows:
        table.add_row(*(_cell(value) for value in row.values()))
    # Piped output is for programs: never cut to a terminal's width.
    width = None if sys.stdout.isatty() else 10_000
    # A venue's titles hold brackets and colons: they are text, not rich's markup.
    Console(width=width, highlight=False, markup=False, emoji=False).print(table)


def top_movers(settings: Settings, window: str, limit: int) -> list[Row]:
    """The board of a window, best first: the same question that the dashboard asks.

    Raises:
        UserError: no such window.
    """
    rules = settings.rules
    parameters = {
        "window": known_window(rules, window),
        "venues": [],
        "categories": [],
        "min_volume_usd": rules.min_volume_24h,
        "min_window_usd": rules.min_window_usd,
        "max_spread_pp": rules.max_spread_pp,
        "hide_settling": True,
        "limit": limit,
    }
    rows = query(settings, query_text("board"), parameters)
    return [{"rank": rank, **{name: row[name] for name in _TOP_COLUMNS}} for rank, row in enumerate(rows, start=1)]


def known_window(rules: RuleSettings, window: str) -> str:
    """The window, as it was named.

    Raises:
        UserError: no such window.
    """
    labels = [window_label(window_s) for window_s in rules.windows]
    if window not in labels:
        raise UserError(f"unknown window {window}; known: {', '.join(labels)}")
    return window


def tail_alerts(settings: Settings, *, as_json: bool, from_start: bool, count: int | None) -> None:
    """Prints alerts until interrupted, or until `count` of them.

    Raises:
        TransientError: Kafka or the schema registry does not answer.
    """
    codec = Codec(ALERTS, SchemaRegistry.of(settings.kafka), Alert)
    require_topics(settings.kafka, [ALERTS])
    reader = consumer(settings.kafka, f"tail-{uuid.uuid4()}", from_start=from_start)
    reader.subscribe([ALERTS.name])
    printed = 0
    try:
        for message in read_messages(reader, lambda: False, batch=1):
            try:
                alert = codec.decode(message.value())
            except UndecodableError as error:
                sys.stderr.write(f"movers: offset {message.offset()}: {error}\n")
                continue
            sys.stdout.write(_alert_line(alert, as_json=as_json) + "\n")
            sys.stdout.flush()
            printed += 1
            if printed == count:
                return
    finally:
        reader.close()


def settings_rows(settings: Settings, groups: Sequence[type[Group]]) -> list[Row]:
    """Every setting: name in the environment, value in force, meaning. Secrets are masked."""
    return [
        {"name": name.upper(), "value": _setting(getattr(settings.of(group), name)), "meaning": info.description}
        for group in groups
        for name, info in group.model_fields.items()
    ]


def _setting(value: object) -> str:
    if isinstance(value, SecretStr):
        return "********" if value.get_secret_value() else ""
    if value is None:
        return ""
    return ",".join(map(str, value)) if isinstance(value, tuple) else str(value)


def _alert_line(alert: Alert, *, as_json: bool) -> str:
    if as_json:
        return json.dumps(dataclasses.asdict(alert))
    at = datetime_from_micros(alert.ts_event_us).strftime("%H:%M:%S")
    price = "–" if alert.price_ppm is None else f"{alert.price_ppm / PPM_PER_PP:.1f} %"
    move = alert.peak_move_pp if alert.move_pp is None else alert.move_pp
    label = "" if alert.kind == "move" else f" ({alert.kind.replace('_', ' ')})"
    title = printable(alert.title or alert.market_id)
    return f"{at}  {alert.state:<9} {move:+6.1f} pp in {window_label(alert.window_s):<4} to {price:>7}  {title}{label}"


def _cell(value: object) -> str:
    if value is None:
        return "–"
    if isinstance(value, datetime):
        return value.strftime("%Y-%m-%d %H:%M:%S")
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3f}".rstrip("0").rstrip(".")
    return "\n".join(map(printable, str(_read(value)).split("\n")))


def _read(value: object) -> object:
    """Bytes, in which the store answers its FixedString, as the text that they are; in its lists too."""
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    return [_read(each) for each in value] if isinstance(value, list | tuple) else value


def printable(text: str) -> str:
    """Without what a terminal would obey."""
    return text if text.isprintable() else "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)


def _finite(value: object) -> object:
    """NaN and infinity as null: JSON knows neither."""
    if isinstance(value, float):
        return value if isfinite(value) else None
    if isinstance(value, Mapping):
        return {name: _finite(each) for name, each in value.items()}
    return [_finite(each) for each in value] if isinstance(value, list | tuple) else value


def _plain(value: object) -> object:
    if isinstance(value, Decimal):
        return float(value)
    if isinstance(value, bytes):
        return _read(value)
    if isinstance(value, Iterable) and not isinstance(value, str):
        return list(value)
    if isinstance(value, datetime):  # the client gives what the store keeps in UTC without a zone
        return (value if value.tzinfo is not None else value.replace(tzinfo=UTC)).isoformat()
    return str(value)
