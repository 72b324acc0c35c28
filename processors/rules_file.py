"""The alert rules in force: from the file that ALERT_RULES names, or one default rule made of the settings."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from kernel.errors import UserError
from kernel.settings import RuleSettings
from processors.analytics.rules import Rule, checked
from schemas.topics import VENUES

_KEYS = {field.name for field in fields(Rule)}
_RULE: TypeAdapter[Rule] = TypeAdapter(Rule)


def default_rule(settings: RuleSettings) -> Rule:
    """The rule that the settings describe."""
    return Rule(
        threshold_pp=settings.alert_threshold_pp,
        cooldown_s=settings.alert_cooldown_s,
        min_volume_24h_usd=settings.min_volume_24h,
        max_spread_pp=settings.max_spread_pp,
    )


def rules_in_force(settings: RuleSettings) -> tuple[Rule, ...]:
    """The rules of the file that the settings name, else the default rule.

    Raises:
        UserError: as `read_rules`.
    """
    default = default_rule(settings)
    return read_rules(Path(settings.alert_rules), default, settings.windows) if settings.alert_rules else (default,)


def read_rules(path: Path, default: Rule, windows_s: Sequence[int]) -> tuple[Rule, ...]:
    """Rules from a file: TOML with `[[rules]]`, or JSON `{"rules": [...]}` or a list.

    What a rule leaves out is the default's. `windows_s` are the windows over which moves are computed.

    Raises:
        UserError: the file cannot be read, or a rule is not one, or looks at a window that nobody computes; names file,
            rule and field.
    """
    try:
        given = _load(path)
        rules = given.get("rules") if isinstance(given, Mapping) else given
        if isinstance(given, Mapping) and "rules" in given and len(given) > 1:
            raise ValueError(f"unknown {min(set(given) - {'rules'})} beside rules")
        if not isinstance(rules, Sequence) or isinstance(rules, str):
            raise ValueError("expected a list named rules")
        return checked([_rule(number, row, default, windows_s) for number, row in enumerate(rules, start=1)])
    except (OSError, ValueError) as error:
        raise UserError(f"alert rules {path}: {error}") from error


def _load(path: Path) -> Any:
    text = path.read_text("utf-8-sig")
    return tomllib.loads(text) if path.suffix == ".toml" else json.loads(text, object_pairs_hook=_once)


def _once(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    """A JSON object in which no name stands twice; TOML refuses that itself."""
    names = [name for name, _ in pairs]
    if twice := [name for name in names if names.count(name) > 1]:
        raise ValueError(f"{twice[0]} stands twice")
    return dict(pairs)


def _rule(number: int, row: Any, default: Rule, windows_s: Sequence[int]) -> Rule:
    if not isinstance(row, Mapping):
        raise ValueError(f"rule {number} is no table")
    if unknown := set(row) - _KEYS:
        raise ValueError(f"rule {number}: unknown field {min(unknown)}; known: {', '.join(sorted(_KEYS))}")
    if "name" not in row:
        raise ValueError(f"rule {number} has no name")
    who = f"rule {number} ({row['name']})"
    if switched := [name for name, value in row.items() if isinstance(value, bool) and name != "confirmed_only"]:
        raise ValueError(f"{who}: {switched[0]}: true and false are for confirmed_only")
    try:
        rule = _RULE.validate_python({**asdict(default), **row})
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        text = first["msg"].removeprefix("Value error, ").replace("a valid tuple", "a list")
        raise ValueError(f"{who}: {f'{where}: ' if where else ''}{text}") from error
    if uncomputed := set(rule.windows_s) - set(windows_s):
        known = ", ".join(map(str, windows_s))
        raise ValueError(f"{who}: windows_s: {min(uncomputed)} is none of WINDOWS ({known})")
    if unknown := set(rule.venues) - set(VENUES):
        raise ValueError(f"{who}: venues: {min(unknown)!r} is none of {', '.join(VENUES)}")
    return rule
