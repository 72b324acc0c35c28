"""Markets that ended long ago leave the topic `markets`: their collector takes back what it told of them.

The topic keeps the newest message of each market, and a venue ends thousands of markets a day. A message without a
value lets Kafka drop its key, so that whoever reads the topic from its start reads what lives and what ended of late.

A market leaves once it was told as settled so long ago that no topic speaks of it any more, and its collector neither
follows it nor has met it of late. Nobody else writes of it, so nothing can overtake; should the venue show it again, it
is a new one and told anew. What the store holds of it stays (docs/decisions/0016).
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol

from confluent_kafka import KafkaException

from kernel.clock import Clock
from kernel.errors import TransientError
from kernel.kafka.readers import read_to_end
from kernel.logs import get_logger
from kernel.settings import KafkaSettings
from producers.shards import Shard
from producers.tracked import Tracked
from schemas import topics
from schemas.codec import Codec, SchemaStore, UndecodableError
from schemas.events import Market
from schemas.topics import DAY_MS

log = get_logger(__name__)

FIRST_AFTER_S = 2 * 3_600
"""Wall seconds from a start: by then crawls have told which ended markets the venue still shows."""

EVERY_S = 86_400

_MANY = 500
_PAUSE_S = 0.05


class Settled(NamedTuple):
    """A market whose end was told long ago."""

    market_id: str
    category: str


class Out(Protocol):
    """Where it is taken back; an `Outbox`."""

    @property
    def kafka_away(self) -> bool:
        """Whether messages go to the spill."""

    def let_go(self, market_id: str, category: str) -> None:
        """Takes back what was told of a market."""


def settled_before(shard: Shard, kafka: KafkaSettings, store: SchemaStore, before_ms: int) -> list[Settled]:
    """The shard's markets whose last message is older than `before_ms` and says that they are settled.

    By when Kafka was given the message: a recording of last winter ends its markets today. Blocks; reads all of the
    topic.

    Raises:
        TransientError: Kafka or the registry does not answer.
        KafkaException: Kafka answers with an error.
    """
    found: dict[str, Settled] = {}
    venue = ("venue", shard.venue.encode())
    codec = Codec(topics.MARKETS, store, Market)
    for message in read_to_end(kafka, topics.MARKETS.name):
        if venue not in (message.headers() or ()):
            continue
        found.pop((message.key() or b"").decode(errors="replace"), None)
        value = message.value()
        if value is None or message.timestamp()[1] >= before_ms:
            continue
        with contextlib.suppress(UndecodableError):
            market = codec.decode(value)
            if market.status == "settled" and shard.owns(market.market_id, market.category):
                found[market.market_id] = Settled(market.market_id, market.category)
    return list(found.values())


async def let_go_for_ever(
    find: Callable[[int], Sequence[Settled]], days: int, tracked: Tracked, out: Out, clock: Clock
) -> None:
    """Once a day, for ever, takes back what was told as settled more than `days` days ago. When Kafka is away, or says
    no, the next day will do.

    Args:
        find: `settled_before` of the shard, from an instant in milliseconds on.
    """
    await clock.sleep(FIRST_AFTER_S)
    while True:
        before_ms = clock.now_us() // 1_000 - days * DAY_MS
        try:
            settled = await asyncio.to_thread(find, before_ms)
        except (TransientError, KafkaException) as error:
            log.warning("settled_markets_unread", error=str(error))
        else:
            let_go = await _let_go(settled, tracked, out, clock)
            log.info("settled_markets_let_go", markets=let_go, kept=len(settled) - let_go)
        await clock.sleep(EVERY_S)


async def _let_go(settled: Sequence[Settled], tracked: Tracked, out: Out, clock: Clock) -> int:
    """A few at a time, so that ticks do not wait behind them; returns how many went."""
    count = 0
    for number, market in enumerate(settled, start=1):
        if out.kafka_away:  # the spill is for what would be lost
            break
        if not tracked.remembers(market.market_id):
            out.let_go(market.market_id, market.category)
            count += 1
        if number % _MANY == 0:
            await clock.sleep(_PAUSE_S)
    return count
