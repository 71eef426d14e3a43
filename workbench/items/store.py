"""Queries on items: states and moves."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from workbench.activity.moves import seal_moves
from workbench.db.bulk import insert_many
from workbench.db.upsert import add_counts
from workbench.errors import WrongState
from workbench.items.domain import ItemState, may_move
from workbench.items.tables import ItemCountRow, ItemMoveRow, ItemRow


def move_items(
    session: Session,
    item_ids: Sequence[int],
    to_state: ItemState,
    *,
    at: datetime,
    actor: str,
    reason: str | Mapping[int, str],
    because: Mapping[int, dict[str, Any]] | None = None,
) -> None:
    """Move items to a state, each with who, when and why; counts by state follow.

    Args:
        session: An open write transaction.
        item_ids: Items to move; they may stand in different states.
        to_state: Where they go.
        at: When.
        actor: Who: a user's e-mail, or a part of the machine such as `decide`.
        reason: One sentence, for all or by item id.
        because: By item id: ids of policy, model version, visit … that led to it.

    Raises:
        WrongState: The table of moves does not allow one of them; nothing is moved.
    """
    if not item_ids:
        return
    states = states_of(session, item_ids)
    for item_id, (_, state) in states.items():
        if not may_move(state, to_state):
            raise WrongState(f"item {item_id} is `{state}` and cannot become `{to_state}`")
    moves = []
    deltas: Counter[tuple[int, str]] = Counter()
    for item_id in item_ids:
        project_id, state = states[item_id]
        moves.append(
            {
                "project_id": project_id,
                "item_id": item_id,
                "from_state": state,
                "to_state": to_state,
                "at": at,
                "actor": actor,
                "reason": reason if isinstance(reason, str) else reason[item_id],
                "because": (because or {}).get(item_id, {}),
            }
        )
        deltas[project_id, state] -= 1
        deltas[project_id, to_state] += 1
    for chunk in _chunks(list(item_ids), 500):
        session.execute(
            update(ItemRow)
            .where(ItemRow.id.in_(chunk))
            .values(state=to_state, state_at=at)
            .execution_options(synchronize_session=False)
        )
    seal_moves(session, moves)
    insert_many(session, ItemMoveRow, moves)
    count_states(session, deltas)


def count_states(session: Session, deltas: Mapping[tuple[int, str], int]) -> None:
    """Add to the counts by (project, state)."""
    add_counts(
        session,
        ItemCountRow,
        [
            {"project_id": project_id, "state": state, "items": delta}
            for (project_id, state), delta in sorted(deltas.items())
            if delta
        ],
        keys=("project_id", "state"),
        sums=("items",),
    )


def states_of(session: Session, item_ids: Sequence[int]) -> dict[int, tuple[int, ItemState]]:
    """Project and state by item id."""
    found: dict[int, tuple[int, ItemState]] = {}
    for chunk in _chunks(list(item_ids), 500):
        rows = session.execute(
            select(ItemRow.id, ItemRow.project_id, ItemRow.state).where(ItemRow.id.in_(chunk))
        )
        for item_id, project_id, state in rows:
            found[item_id] = (project_id, ItemState(state))
    return found


def counts_by_state(session: Session, project_id: int) -> dict[ItemState, int]:
    """Items of a project by state; every state is named."""
    rows = session.execute(
        select(ItemCountRow.state, ItemCountRow.items).where(ItemCountRow.project_id == project_id)
    )
    return dict.fromkeys(ItemState, 0) | {ItemState(state): items for state, items in rows}


def _chunks(ids: list[int], size: int) -> Iterable[list[int]]:
    for start in range(0, len(ids), size):
        yield ids[start : start + size]
