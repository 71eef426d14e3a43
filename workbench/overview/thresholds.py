"""The confidence from which the policy in force accepts, where it has one such number."""

from __future__ import annotations

from sqlalchemy.orm import Session

from workbench.decisions.rule_form import threshold_of
from workbench.decisions.store import active_policy


def threshold_in_force(session: Session, project_id: int) -> float | None:
    """The lowest confidence that the active policy accepts outright; None where it names none."""
    row = active_policy(session, project_id)
    return None if row is None else threshold_of(row.document)
