"""Where the items predicted so far would have gone under another policy."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.orm import Session

from routing.policy import Decisions, Outcome, Purpose, RoutingPolicy, decide
from workbench.decisions.service import columns_of
from workbench.decisions.store import lottery_key, policies_of, undecided
from workbench.items.domain import ItemState
from workbench.outside import Outside
from workbench.people.store import pools_in_reach
from workbench.people.tables import PoolRow

MOST_ITEMS = 10_000
_ANY_KEY = bytes(32)
_AFTER_IMPORT = [state for state in ItemState if state is not ItemState.IMPORTED]


@dataclass(frozen=True)
class Shares:
    """What a policy does with the predicted items."""

    accepted: int
    people: int
    audited: int
    blind: int
    annotations: int


@dataclass(frozen=True)
class Comparison:
    """Two policies over the same predicted items; `before` is None without a policy in force."""

    items: int
    before: Shares | None
    after: Shares
    moved: int
    limited: bool

    def sentence(self) -> str:
        """The comparison in one line."""
        if not self.items:
            return "No item is predicted yet, so there is nothing to compare."
        now = f"{self.after.accepted / self.items:.1%}"
        if self.before is None:
            return f"Of {self.items:,} predicted items {now} would have been accepted."
        return (
            f"Of {self.items:,} predicted items {self.before.accepted / self.items:.1%} are accepted under "
            f"the policy in force; this one would have accepted {now}."
        )


def compare(
    outside: Outside,
    session: Session,
    project_id: int,
    before: RoutingPolicy | None,
    after: RoutingPolicy,
    labels: Sequence[str],
) -> Comparison:
    """Both policies over the project's predicted items (the first `MOST_ITEMS` of them)."""
    found = undecided(session, project_id, _AFTER_IMPORT, MOST_ITEMS + 1)
    limited = len(found) > MOST_ITEMS
    predicted = [item for item in found[:MOST_ITEMS] if item.label]
    row = lottery_key(session, project_id)
    key = _ANY_KEY if row is None else outside.vault.unlock(row.key)
    columns = columns_of(predicted, labels)
    new = decide(after, columns, key=key)
    old = None if before is None else decide(before, columns, key=key)
    moved = 0 if old is None else int((old.outcome != new.outcome).sum())
    return Comparison(len(predicted), None if old is None else _shares(old), _shares(new), moved, limited)


def pool_names(session: Session, project_id: int, projects: Collection[int] | None) -> dict[str, str]:
    """Names by key of the pools that somebody may name in a project's policy.

    Who has a role in some projects alone (`projects`; None: in all) may name those of the project, and those
    its policies name already.
    """
    query = select(PoolRow.key, PoolRow.name).order_by(PoolRow.name)
    if projects is not None:
        named = {
            rule["pool"]
            for policy in policies_of(session, project_id)
            for rule in policy.document["rules"]
            if rule.get("pool")
        }
        query = query.where(
            PoolRow.key.in_(named | {pool.key for pool in pools_in_reach(session, project_id)})
        )
    rows = session.execute(query)
    return {key: name for key, name in rows}  # noqa: C416 - rows are not pairs to mypy


def _shares(decided: Decisions) -> Shares:
    accepted = int((decided.outcome != Outcome.PEOPLE).sum())
    return Shares(
        accepted=accepted,
        people=int(decided.outcome.size) - accepted,
        audited=int((decided.purpose == Purpose.AUDIT).sum()),
        blind=int((decided.purpose == Purpose.BLIND).sum()),
        annotations=int(decided.overlap.sum()),
    )
