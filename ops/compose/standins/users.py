"""Who may do what behind the stand-in's door: the users of ClickHouse's `users.d`, as far as our file uses it.

An element or a grant that is not known here is refused: what cannot be stood in for must not look as if it worked.
"""

from __future__ import annotations

import hmac
import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

from movers.local.warehouse.sql import split

_KNOWN = {"password", "networks", "profile", "quota", "grants"}
_READS = {"SELECT", "WITH", "DESCRIBE", "DESC", "SHOW", "EXISTS", "EXPLAIN"}
_INTO = re.compile(rb"\s*INSERT\s+INTO\s+(?:TABLE\s+)?(?:`?movers`?\s*\.\s*)?`?(\w+)`?", re.IGNORECASE)
EVERYTHING = frozenset({("ALL", "*")})


@dataclass(frozen=True, slots=True)
class Refusal:
    """How ClickHouse says no."""

    code: int
    text: str


@dataclass(frozen=True, slots=True)
class User:
    """A password, and (SELECT or INSERT, table or `*`) for each right."""

    password: str
    rights: frozenset[tuple[str, str]]


class Users:
    """All who have a login, by name."""

    def __init__(self, users: Mapping[str, User]) -> None:
        self._users = users

    def refusal(self, name: str, password: str, url_query: bytes, body: bytes) -> Refusal | None:
        """Why this user may not have this statement done; None when they may."""
        user = self._users.get(name)
        expected = user.password if user else ""
        if not hmac.compare_digest(password.encode(), expected.encode()) or user is None:
            return Refusal(516, f"{name}: Authentication failed (AUTHENTICATION_FAILED)")
        needed = _needed(url_query, body)
        if user.rights == EVERYTHING or needed in user.rights:
            return None
        return Refusal(497, f"{name}: Not enough privileges: {' ON movers.'.join(needed)} (ACCESS_DENIED)")


def _needed(url_query: bytes, body: bytes) -> tuple[str, str]:
    """The right that a statement needs; one that no user of a file has where it is neither read nor insert."""
    statement = split(url_query, b"" if url_query else body)
    if statement.first_word in _READS:
        return "SELECT", "*"
    into = _INTO.match(statement.sql)
    if into is not None and statement.first_word == "INSERT":
        return "INSERT", into[1].decode()
    return statement.first_word or "?", "*"


def of_files(paths: Iterable[Path]) -> dict[str, User]:
    """Users of `users.d` files. Raises ValueError where one asks for what is not known here."""
    users = {}
    for path in paths:
        for element in ElementTree.parse(path).getroot().findall("users/*"):  # noqa: S314  our own file
            if unknown := {part.tag for part in element} - _KNOWN:
                raise ValueError(f"{path.name}: {element.tag}: not known here: {', '.join(sorted(unknown))}")
            users[element.tag] = User(_password(element), frozenset(_grants(element)))
    return users


def _password(element: ElementTree.Element) -> str:
    password = element.find("password")
    if password is None:
        raise ValueError(f"{element.tag} has no password")
    return os.environ[password.attrib["from_env"]] if "from_env" in password.attrib else password.text or ""


def _grants(element: ElementTree.Element) -> Iterable[tuple[str, str]]:
    for query in element.findall("grants/query"):
        grant = re.fullmatch(r"GRANT (SELECT|INSERT) ON movers\.(\*|\w+)", query.text or "")
        if grant is None:
            raise ValueError(f"{element.tag}: not known here: {query.text}")
        yield grant[1], grant[2]
