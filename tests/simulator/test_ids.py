"""Identifiers: of the venues' own form, the same in every run, and not shared."""

from __future__ import annotations

import re
import uuid

from hypothesis import given
from hypothesis import strategies as st

from simulator import ids

_NAMES = st.text(max_size=40)


@given(_NAMES)
def test_each_id_has_its_venues_form(name: str) -> None:
    condition = ids.condition_id(name)

    assert re.fullmatch(r"0x[0-9a-f]{64}", condition)
    assert re.fullmatch(r"0x[0-9a-f]{64}", ids.question_id(condition))
    assert all(re.fullmatch(r"[1-9]\d{76}", token) for token in ids.token_ids(condition))
    assert re.fullmatch(r"[1-9]\d{6}", ids.gamma_id(name))
    assert re.fullmatch(r"[1-9]\d{4}", ids.gamma_id(name, digits=5))
    assert str(uuid.UUID(ids.market_uuid(name))) == ids.market_uuid(name)
    assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", ids.slug(name))


@given(st.sets(_NAMES, min_size=2, max_size=8))
def test_no_two_names_and_no_two_kinds_share_an_id(names: set[str]) -> None:
    made = [kind(name) for name in names for kind in (ids.condition_id, ids.question_id, ids.market_uuid)]
    made += [token for name in names for token in ids.token_ids(name)]

    assert len(set(made)) == 5 * len(names)


def test_ids_are_those_of_tapes_that_were_recorded_with_them() -> None:
    """They stand in files and in stores, so they may never change."""
    assert ids.condition_id("a").endswith(CONDITION_OF_A)
    assert (ids.gamma_id("a"), ids.market_uuid("a")) == (GAMMA_OF_A, UUID_OF_A)
    assert ids.slug("Will  A (or B) happen?") == "will-a-or-b-happen"
    assert ids.slug("???") == "market"


CONDITION_OF_A = "4e8a0a26"
GAMMA_OF_A = "3819738"
UUID_OF_A = "a9d54315-a45c-5fae-9a85-2d011403dd47"
