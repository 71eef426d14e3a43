"""Prices as a document states them, against the rate cards on record; what was paid stays as it was."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from itertools import pairwise

from sqlalchemy.orm import Session

from workbench.people.tables import PoolRow
from workbench.projects.pools import WantedPrice
from workbench.projects.service import start_of_day
from workbench.projects.tables import ProjectRow
from workbench.setup import store

Span = tuple[WantedPrice, datetime, datetime | None]


def write_prices(
    session: Session, project: ProjectRow, pool: PoolRow, prices: Sequence[WantedPrice], *, now: datetime
) -> None:
    """Make a pool's prices in a project these, from now on.

    A price that held before stays on record for the time it held; the first prices of a project begin
    where they say, in the past too. Prices that are there already are left alone.
    """
    standing = store.open_rate_cards(session, project.id, pool.id, now)
    first = not standing
    wanted = spans(prices, project.time_zone)
    for row in standing:
        match = next(
            (span for span in wanted if _is_same(row.unit, row.price, row.currency, span, project)), None
        )
        held = row.valid_from <= now
        if match is not None and ((held and match[1] <= now) or row.valid_from == match[1]):
            row.valid_to = match[2]
            wanted.remove(match)
        else:
            row.valid_to = max(now, row.valid_from) if held else row.valid_from
    for price, begin, end in wanted:
        if not first and end is not None and end <= now:
            continue
        store.add_rate_card(
            session,
            project_id=project.id,
            pool=pool,
            unit=price.unit,
            price=price.price,
            currency=project.currency,
            valid_from=begin if first else max(begin, now),
            valid_to=end,
        )
    session.flush()


def spans(prices: Sequence[WantedPrice], zone: str) -> list[Span]:
    """Each price with the time it holds: until the next of its unit begins."""
    found: list[Span] = []
    for unit in dict.fromkeys(price.unit for price in prices):
        dated = sorted(
            (
                (store.ALWAYS if price.starts is None else start_of_day(price.starts, zone), i, price)
                for i, price in enumerate(prices)
                if price.unit == unit
            ),
            key=lambda entry: entry[:2],
        )
        found += [
            (price, begin, after[0]) for (begin, _, price), after in pairwise(dated) if begin < after[0]
        ]
        begin, _, last = dated[-1]
        found.append((last, begin, None))
    return found


def _is_same(unit: str, price: object, currency: str, span: Span, project: ProjectRow) -> bool:
    return (unit, price, currency) == (span[0].unit, span[0].price, project.currency)
