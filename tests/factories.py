"""Valid rows with one call each, for tests."""

from __future__ import annotations

import secrets
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from sqlalchemy.orm import Session

from workbench.items.domain import ItemState, Part, content_hash
from workbench.items.store import count_states
from workbench.items.tables import ImportRow, ItemPartRow, ItemRow
from workbench.people.tables import (
    AccountRow,
    PersonRow,
    PoolMemberRow,
    PoolRow,
    RateCardRow,
    ServerRow,
    SupplierRow,
)
from workbench.projects.tables import ProjectLabelRow, ProjectRow

NOW = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
LABELS = ("Positive", "Neutral", "Negative")
CONFIG = (
    '<View><Text name="text" value="$text"/><Choices name="label" toName="text" choice="single">'
    + "".join(f'<Choice value="{value}"/>' for value in LABELS)
    + "</Choices></View>"
)


def _add(session: Session, row: Any) -> Any:
    session.add(row)
    session.flush()
    return row


def make_server(session: Session, **values: Any) -> ServerRow:
    given: dict[str, Any] = {
        "name": "local",
        "url": f"http://127.0.0.1:9/{secrets.token_hex(3)}",
        "token": b"",
        "region": "",
        "version": "1.23.2",
        "capabilities": {},
        "epoch": 1,
        "state": "ready",
        "problem": "",
        "created_at": NOW,
    } | values
    return _add(session, ServerRow(**given))


def make_pool(session: Session, key: str = "english", **values: Any) -> PoolRow:
    supplier = session.query(SupplierRow).first() or _add(
        session, SupplierRow(key="in-house", name="In-house", time_zone="UTC")
    )
    given = {
        "key": key,
        "name": key.title(),
        "supplier_id": supplier.id,
        "skill": "",
        "language": "",
    } | values
    return _add(session, PoolRow(**given))


def make_project(session: Session, key: str = "sentiment", **values: Any) -> ProjectRow:
    labels = values.pop("labels", LABELS)
    given: dict[str, Any] = {
        "key": key,
        "title": "Sentiment",
        "modality": "text",
        "state": "active",
        "time_zone": "UTC",
        "label_config": CONFIG,
        "control": "label",
        "text_field": "text",
        "instruction": "",
        "currency": "USD",
        "baseline_price": Decimal("0.08"),
        "baseline_overlap": 1,
        "lead_time_cap_s": 300,
        "lane_limit": 100,
        "overlap_limit": 5,
        "without_model": "people",
        "note": "",
        "specification": {},
        "specification_version": 1,
        "created_at": NOW,
        "created_by": "test",
    } | values
    project = _add(session, ProjectRow(**given))
    for position, value in enumerate(labels):
        _add(
            session,
            ProjectLabelRow(
                project_id=project.id,
                position=position,
                value=value,
                title={},
                hotkey=str(position + 1),
                severity="",
                miss_cost=Decimal(0),
                sensitive=False,
            ),
        )
    return project


def make_person(
    session: Session, server: ServerRow, pool: PoolRow, ls_user_id: int, **values: Any
) -> PersonRow:
    name = values.pop("name", f"Person {ls_user_id}")
    email = f"person{ls_user_id}@example.org"
    person = _add(
        session,
        PersonRow(
            public_id=secrets.token_hex(12), name=name, email=email, active=True, created_at=NOW, **values
        ),
    )
    _add(
        session,
        AccountRow(
            server_id=server.id, person_id=person.id, ls_user_id=ls_user_id, email=email, created_at=NOW
        ),
    )
    _add(session, PoolMemberRow(pool_id=pool.id, person_id=person.id, joined_at=NOW))
    return person


def make_rate_card(session: Session, pool: PoolRow, unit: str = "item", price: str = "0.08") -> RateCardRow:
    return _add(
        session,
        RateCardRow(
            pool_id=pool.id,
            skill="",
            unit=unit,
            price=Decimal(price),
            currency="USD",
            valid_from=datetime(2020, 1, 1, tzinfo=UTC),
        ),
    )


def make_import(session: Session, project: ProjectRow) -> ImportRow:
    return _add(
        session,
        ImportRow(
            project_id=project.id,
            job_id=secrets.token_hex(8),
            file_name="items.csv",
            path="",
            format="csv",
            mapping={},
            state="done",
            rows_read=0,
            rows_added=0,
            rows_known=0,
            rows_conflicting=0,
            rows_rejected=0,
            rejects_path="",
            problem="",
            created_by="test",
            created_at=NOW,
        ),
    )


def make_items(
    session: Session, project: ProjectRow, n: int, state: ItemState = ItemState.IMPORTED
) -> list[ItemRow]:
    source = make_import(session, project)
    rows = []
    for i in range(n):
        parts = [Part("text", "text", f"text {i} of {project.key}")]
        row = _add(
            session,
            ItemRow(
                public_id=secrets.token_hex(12),
                project_id=project.id,
                import_id=source.id,
                external_id=f"{source.id}-{i}",
                content_hash=content_hash(parts),
                state=state,
                language="en",
                region="",
                sensitivity="",
                round=1,
                created_at=NOW,
                state_at=NOW,
            ),
        )
        session.add(
            ItemPartRow(item_id=row.id, position=0, kind="text", name="text", text=parts[0].text, data={})
        )
        rows.append(row)
    count_states(session, {(project.id, state): n})
    session.flush()
    return rows
