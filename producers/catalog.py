"""Reads a venue's pages into markets and prices. The same for all venues: what differs is the venue's `Reader`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from producers.base import LastShown, Mapped, Page, Reader
from producers.fields import Row, as_object, refusal
from producers.ticks import Moment, Shown
from schemas.events import Market

BARE_KINDS = frozenset(("books",))
"""Kinds whose rows show a price and no metadata."""


def learn(reader: Reader, page: Page, moment: Moment) -> Mapped[Market]:
    """Markets of a page's rows, all that are readable. One bad row costs neither its siblings nor its page."""
    mapped: Mapped[Market] = Mapped()
    for context, row in _market_rows(reader, page, mapped):
        try:
            reason = reader.left_out(row)
            if reason:
                mapped.leave_out(reason)
            else:
                mapped.events.append(reader.market(context, row, moment))
        except Exception as error:
            mapped.bad.append(refusal(error, row))
    return mapped


def show(reader: Reader, page: Page, moment: Moment, last: LastShown) -> Mapped[tuple[Shown, Row]]:
    """What a page's rows show of prices, one for each readable market row, with the row. As `learn` in all else."""
    mapped: Mapped[tuple[Shown, Row]] = Mapped()
    for row in _price_rows(reader, page, mapped):
        try:
            reason = reader.left_out(row)
            if reason:
                mapped.leave_out(reason)
                continue
            shown = reader.shown(page.kind, row, moment, last)
            if shown is None:
                mapped.leave_out("unknown_token")
            else:
                mapped.events.append((shown, row))
        except Exception as error:
            mapped.bad.append(refusal(error, row))
    return mapped


def _price_rows(reader: Reader, page: Page, mapped: Mapped[Any]) -> Iterator[Row]:
    if page.kind not in BARE_KINDS:
        for _, row in _market_rows(reader, page, mapped):
            yield row
        return
    for item in page.rows:
        try:
            yield as_object(item)
        except Exception as error:
            mapped.bad.append(refusal(error, item))


def _market_rows(reader: Reader, page: Page, mapped: Mapped[Any]) -> Iterator[tuple[Any, Row]]:
    """Each market row with its event; what is broken goes to `mapped.bad`."""
    for item in page.rows:
        try:
            unfolded = list(reader.unfold(page.kind, as_object(item)))
        except Exception as error:
            mapped.bad.append(refusal(error, item))
            continue
        for context, nested in unfolded:
            try:
                row = as_object(nested)
            except Exception as error:
                mapped.bad.append(refusal(error, nested))
                continue
            yield context, row
