"""Every project in one line: how far it is, what waits, what it cost."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from sqlalchemy.orm import Session

from workbench.items.domain import ItemState
from workbench.items.store import counts_by_state
from workbench.projects.store import list_projects
from workbench.setup import store

FINISHED = (ItemState.RESOLVED, ItemState.DELIVERED)
WITH_PEOPLE = (ItemState.QUEUED, ItemState.IN_LABELING, ItemState.ANNOTATED)


@dataclass(frozen=True)
class ProjectCard:
    """A project as lists show it.

    Attributes:
        items: All its items.
        finished: Items with a final label.
        waiting: Items that wait for people or are with them.
        share: Finished of all, 0 to 1; None without items.
        cost: Spent so far, in `currency`.
        last_answer: When the last answer of a person came.
    """

    id: int
    key: str
    title: str
    state: str
    items: int
    finished: int
    waiting: int
    cost: Decimal
    currency: str
    created_at: datetime
    last_answer: datetime | None

    @property
    def share(self) -> float | None:
        """Finished of all, 0 to 1; None without items."""
        return self.finished / self.items if self.items else None


def project_cards(session: Session) -> list[ProjectCard]:
    """Every project, the newest first."""
    answers, spent = store.last_answers(session), store.costs(session)
    cards = []
    for row in list_projects(session):
        counts = counts_by_state(session, row.id)
        cards.append(
            ProjectCard(
                id=row.id,
                key=row.key,
                title=row.title,
                state=row.state,
                items=sum(counts.values()),
                finished=sum(counts[state] for state in FINISHED),
                waiting=sum(counts[state] for state in WITH_PEOPLE),
                cost=spent.get(row.id, Decimal(0)),
                currency=row.currency,
                created_at=row.created_at,
                last_answer=answers.get(row.id),
            )
        )
    return cards
