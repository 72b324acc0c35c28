from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from kernel.errors import UserError
from kernel.settings import RuleSettings
from processors.analytics.rules import LONGEST_COOLDOWN_S, Rule
from processors.rules_file import default_rule, read_rules

DEFAULT = Rule(threshold_pp=8.0, cooldown_s=60)
WINDOWS_S = (300, 900, 3600, 86_400)

TOML = """
[[rules]]
name = "default"

[[rules]]
name = "big-politics"
threshold_pp = 20
windows_s = [300, 900]
direction = "up"
categories = ["politics"]
confirmed_only = true
"""


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("rules.toml", TOML),
        (
            "rules.json",
            '{"rules": [{"name": "default"}, {"name": "big-politics", "threshold_pp": 20, "windows_s": [300, 900],'
            ' "direction": "up", "categories": ["politics"], "confirmed_only": true}]}',
        ),
        (
            "list.json",
            '[{"name": "default"}, {"name": "big-politics", "threshold_pp": 20, "windows_s": [300, 900],'
            ' "direction": "up", "categories": ["politics"], "confirmed_only": true}]',
        ),
    ],
)
def test_rules_are_read_and_what_they_leave_out_is_the_defaults(tmp_path: Path, name: str, text: str) -> None:
    path = tmp_path / name
    path.write_text(text)

    first, second = read_rules(path, DEFAULT, WINDOWS_S)

    assert first == DEFAULT
    assert second == Rule(
        name="big-politics",
        threshold_pp=20.0,
        cooldown_s=60,
        windows_s=(300, 900),
        direction="up",
        categories=("politics",),
        confirmed_only=True,
    )


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("{", "alert rules"),
        ("[]", "no rule"),
        ('{"rule": []}', "expected a list named rules"),
        ("[1]", "rule 1 is no table"),
        ('[{"threshold_pp": 5}]', "rule 1 has no name"),
        ('[{"name": "a", "treshold": 5}]', "rule 1: unknown field treshold; known: categories"),
        ('[{"name": "a"}, {"name": "a"}]', "two rules are named 'a'"),
        ('[{"name": "A b"}]', "name 'A b': up to 40 small letters"),
        ('[{"name": "a", "threshold_pp": 0}]', r"rule 1 \(a\): threshold_pp 0.0: over 0"),
        ('[{"name": "a", "threshold_pp": "much"}]', r"rule 1 \(a\): threshold_pp: "),
        ('[{"name": "a", "direction": "sideways"}]', r"rule 1 \(a\): direction: "),
        ('[{"name": "a", "categories": ["poltics"]}]', r"rule 1 \(a\): categories"),
        ('[{"name": "a", "windows_s": [0]}]', r"rule 1 \(a\): windows_s"),
        ('[{"name": "a", "windows_s": [300, 60]}]', r"rule 1 \(a\): windows_s: 60 is none of WINDOWS \(300, 900, "),
        ('[{"name": "a", "windows_s": 300}]', r"rule 1 \(a\): windows_s: .* list"),
        ('[{"name": "a", "venues": ["kalshy"]}]', r"rule 1 \(a\): venues: 'kalshy' is none of polymarket, kalshi"),
        ('[{"name": "a", "threshold_pp": true}]', r"rule 1 \(a\): threshold_pp: true and false are for confirmed_only"),
        ('[{"name": "a", "cooldown_s": 31622401}]', r"rule 1 \(a\): cooldown_s 31622401: 0 to 31622400"),
        ('[{"name": "a", "min_window_usd": Infinity}]', r"rule 1 \(a\): min_window_usd inf: 0 or more, finite"),
        ('{"threshold_pp": 3, "rules": [{"name": "a"}]}', "unknown threshold_pp beside rules"),
        ('[{"name": "a", "threshold_pp": 3, "threshold_pp": 30}]', "threshold_pp stands twice"),
    ],
)
def test_a_wrong_file_is_one_line_that_names_rule_and_field(tmp_path: Path, text: str, says: str) -> None:
    path = tmp_path / "rules.json"
    path.write_text(text)

    with pytest.raises(UserError, match=says) as caught:
        read_rules(path, DEFAULT, WINDOWS_S)

    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("name", "text"), [("rules.toml", TOML), ("rules.json", '[{"name": "a"}]')])
def test_a_byte_order_mark_is_no_part_of_a_rule(tmp_path: Path, name: str, text: str) -> None:
    path = tmp_path / name
    path.write_bytes(b"\xef\xbb\xbf" + text.encode())

    assert read_rules(path, DEFAULT, WINDOWS_S)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"alert rules .*nothing\.toml"):
        read_rules(tmp_path / "nothing.toml", DEFAULT, WINDOWS_S)


def test_a_rules_version_changes_with_any_of_its_numbers() -> None:
    versions = {rule.version for rule in (DEFAULT, Rule(), Rule(windows_s=(300,)), Rule(confirmed_only=True))}

    assert len(versions) == 4
    assert Rule().version == Rule().version


def test_a_rule_that_says_nothing_is_the_one_of_settings_that_say_nothing() -> None:
    assert default_rule(RuleSettings()) == Rule()


def test_the_setting_takes_the_cool_downs_that_a_rule_takes() -> None:
    longest = RuleSettings(alert_cooldown_s=LONGEST_COOLDOWN_S)

    assert default_rule(longest).cooldown_s == LONGEST_COOLDOWN_S
    with pytest.raises(ValidationError):
        RuleSettings(alert_cooldown_s=LONGEST_COOLDOWN_S + 1)
