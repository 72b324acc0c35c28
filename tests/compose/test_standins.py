"""The stand-in's door lets each user of the store do what the file of users grants, and nothing beside it."""

from __future__ import annotations

from pathlib import Path

import pytest

from ops.compose.standins.users import EVERYTHING, User, Users, of_files

READER = "ops/clickhouse/users.d/movers_reader.xml"


@pytest.fixture
def users(repo_dir: Path, monkeypatch: pytest.MonkeyPatch) -> Users:
    monkeypatch.setenv("CLICKHOUSE_READ_PASSWORD", "of the reader")
    return Users({"movers": User("of the owner", EVERYTHING), **of_files([repo_dir / READER])})


def code(users: Users, statement: str, user: str = "movers_reader", key: str = "of the reader") -> int:
    refusal = users.refusal(user, key, b"", statement.encode())
    return 0 if refusal is None else refusal.code


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT 1",
        "/* why */ WITH 1 AS x SELECT x",
        "DESCRIBE TABLE alert_acks",
        "INSERT INTO alert_acks (alert_id) VALUES ('x')",
        "insert into movers.alert_acks format Native x",
        "INSERT INTO `alert_acks` (`note`) FORMAT Native\n",
    ],
)
def test_the_reader_reads_and_acknowledges(users: Users, statement: str) -> None:
    assert code(users, statement) == 0


@pytest.mark.parametrize(
    "statement",
    [
        "INSERT INTO alerts VALUES (1)",
        "INSERT INTO TABLE FUNCTION file('x') SELECT 1",
        "DROP TABLE alert_acks",
        "ALTER TABLE alerts DELETE WHERE 1",
        "SET readonly = 0",
        "CREATE USER another",
        "",
    ],
)
def test_the_reader_writes_nothing_else(users: Users, statement: str) -> None:
    assert code(users, statement) == 497


def test_the_owner_may_do_all(users: Users) -> None:
    assert code(users, "DROP TABLE alerts", "movers", "of the owner") == 0


@pytest.mark.parametrize(("user", "password"), [("movers_reader", ""), ("movers", "of the reader"), ("default", "")])
def test_nobody_enters_without_their_password(users: Users, user: str, password: str) -> None:
    assert code(users, "SELECT 1", user, password) == 516


def test_what_the_stand_in_does_not_know_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "users.xml"
    path.write_text("<c><users><a><password>x</password><roles/></a></users></c>")

    with pytest.raises(ValueError, match="roles"):
        of_files([path])
