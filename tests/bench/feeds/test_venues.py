"""What the made-up venues say is what our readers expect of the real ones."""

from __future__ import annotations

import pytest

from bench.feeds.sender import first_turns, text_frame
from bench.feeds.venue import Venue
from bench.feeds.venues import KALSHI, VENUES
from kernel.clock import SystemClock
from producers.base import Frames, Sockets
from producers.facts import Facts, Top
from producers.framing import whole_texts
from producers.kalshi.sockets import ALL_MARKETS

MARKETS = 6
OPENED_MS = 1_700_000_000_000


@pytest.fixture(params=list(VENUES))
def venue(request: pytest.FixtureRequest) -> Venue:
    return VENUES[request.param]


def opened(venue: Venue) -> tuple[Sockets, Frames, list[Facts]]:
    """A client that has subscribed all markets, and what it was told at first."""
    sockets = venue.sockets("ws://127.0.0.1:1" + venue.path, SystemClock())
    reader, told = sockets.reader(), []
    tokens = [venue.token(number) for number in range(MARKETS)]
    reader.follow(tokens)
    for order in sockets.opening([] if sockets.mirrored else tokens):
        told += [reader.read(text.encode()) for text in venue.answer(order, MARKETS, OPENED_MS).texts]
    return sockets, reader, told


def tops(facts: Facts) -> list[Top]:
    assert not facts.bad
    return [fact for fact in facts.facts if isinstance(fact, Top)]


def test_a_client_is_told_the_state_of_every_market_at_first(venue: Venue) -> None:
    _, _, told = opened(venue)

    found = [top for facts in told for top in tops(facts)]
    assert {top.token for top in found} == {venue.token(number) for number in range(MARKETS)}
    assert {(top.bid_ppm, top.ask_ppm) for top in found} == {(400_000, 420_000)}


def test_one_in_three_messages_moves_a_top_and_not_all_markets_at_once(venue: Venue) -> None:
    _, reader, _ = opened(venue)
    bids, moves = [400_000] * MARKETS, []
    for turn in range(12):
        moved = 0
        for number, first in enumerate(first_turns(MARKETS)):
            at_ms = OPENED_MS + 1_000 * (1 + turn)
            text = venue.change(number, venue.token(number), first + turn, at_ms)
            for top in tops(reader.read(text.encode())):
                assert (top.token, top.ask_ppm, top.ts_us) == (venue.token(number), 420_000, at_ms * 1_000)
                moved += top.bid_ppm != bids[number]
                bids[number] = top.bid_ppm or 0
        moves.append(moved)

    assert moves == [MARKETS // 3] * 12


def test_a_market_is_ours_by_the_token_that_its_messages_name(venue: Venue) -> None:
    sockets = venue.sockets("ws://127.0.0.1:1" + venue.path, SystemClock())

    assert sockets.token_of(sockets.token_id(venue.token(7))) == venue.token(7)
    assert len({venue.market_id(number) for number in range(100)}) == 100


def test_a_message_fits_the_frame_it_is_written_in(venue: Venue) -> None:
    text = venue.change(99_999, venue.token(99_999), 7, OPENED_MS).encode()

    assert whole_texts(text_frame(text), 0, 65_535) == ([text], len(text) + 4)


def test_kalshi_acknowledges_each_channel_under_the_number_that_its_frames_bear() -> None:
    sockets, _, told = opened(KALSHI)

    assert [(ack.command, ack.channel, ack.subscription) for facts in told for ack in facts.acks] == [
        (number, channel, number) for number, channel in enumerate(ALL_MARKETS, start=1)
    ]
    again = [KALSHI.answer(order, MARKETS, OPENED_MS) for order in sockets.opening([])]
    assert [len(answer.numbers) for answer in again] == [MARKETS, 0, 0]


def test_a_second_connection_tells_the_same_states_of_the_same_instants() -> None:
    first, second = opened(KALSHI)[2], opened(KALSHI)[2]

    assert [facts.facts for facts in first] == [facts.facts for facts in second]
