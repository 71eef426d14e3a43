"""Which pools, suppliers and prices a project document speaks of."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from workbench.projects.specification import ProjectSpecification

IN_HOUSE = "in-house"


@dataclass(frozen=True)
class WantedSupplier:
    """A team that a document names."""

    key: str
    name: str
    time_zone: str


@dataclass(frozen=True)
class WantedPool:
    """A pool that a document names: one skill of one supplier."""

    key: str
    name: str
    supplier: str
    skill: str
    language: str


@dataclass(frozen=True)
class WantedPrice:
    """A price for a pool, from a day in the project's time zone on (None: always)."""

    pool: str
    unit: str
    price: Decimal
    starts: date | None


def suppliers_of(specification: ProjectSpecification) -> list[WantedSupplier]:
    """Every supplier of the document; the own team where pools have no supplier."""
    named = [
        WantedSupplier(one.id, one.name or one.id, one.timezone or specification.zone)
        for one in specification.suppliers
    ]
    own_needed = bool(specification.pools) or not specification.suppliers
    if own_needed and all(one.key != IN_HOUSE for one in named):
        named.append(WantedSupplier(IN_HOUSE, "In-house", specification.zone))
    return named


def pools_of(specification: ProjectSpecification) -> list[WantedPool]:
    """Every pool of the document, the project's own first; a project always has one.

    A skill that only one supplier has names its pool; else the pool is `supplier-skill`.
    """
    found = [
        WantedPool(one.id, one.name or _readable(one.id), IN_HOUSE, one.id, one.language)
        for one in specification.pools
    ]
    offered = {
        (supplier.id, rate.skill): supplier for supplier in specification.suppliers for rate in supplier.rates
    }
    suppliers_with = Counter(skill for _, skill in offered)
    for (supplier_key, skill), supplier in offered.items():
        key = skill if suppliers_with[skill] == 1 else f"{supplier_key}-{skill}"
        found.append(WantedPool(key, f"{supplier.name or supplier_key}: {skill}", supplier_key, skill, ""))
    if not found:
        key = f"{specification.id}-team"
        found.append(
            WantedPool(key, f"{specification.title} team"[:200], IN_HOUSE, key, specification.language)
        )
    return found


def prices_of(specification: ProjectSpecification) -> list[WantedPrice]:
    """Every price of the document."""
    prices = [
        WantedPrice(one.id, one.unit, one.price, None) for one in specification.pools if one.price is not None
    ]
    keys = {(pool.supplier, pool.skill): pool.key for pool in pools_of(specification)}
    for supplier in specification.suppliers:
        for rate in supplier.rates:
            prices.append(WantedPrice(keys[supplier.id, rate.skill], rate.unit, rate.price, rate.starts))
    return prices


def _readable(key: str) -> str:
    return key.replace("-", " ").capitalize()
