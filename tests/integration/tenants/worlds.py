"""Two installations that differ in one thing: whether supplier `bolt` is there beside `acme`."""

from __future__ import annotations

import hashlib
import json
import re
from datetime import timedelta
from decimal import Decimal
from typing import Any

from sqlalchemy.orm import Session
from starlette.testclient import TestClient

from tests.factories import LABELS, NOW, make_items, make_pool, make_project, make_rate_card, make_server
from workbench.app import create_app
from workbench.auth.domain import Role, csrf_token
from workbench.auth.leads import make_lead
from workbench.auth.service import create_user_hashed, ensure_roles, open_session
from workbench.incidents.store import report_incident
from workbench.items.domain import ItemState
from workbench.items.tables import ItemRow
from workbench.labeling.tables import AnnotationRow, AnswerRow, LaneRow, VisitRow
from workbench.outside import Outside
from workbench.people.tables import AccountRow, PersonRow, PoolMemberRow, SupplierProjectRow, SupplierRow
from workbench.projects.tables import ProjectRow
from workbench.tallies.domain import Change, Fact, ItemAnswers, Rate, Status
from workbench.tallies.service import record_annotations

SUPPLIERS = ("acme", "bolt")


def opaque(*parts: object) -> str:
    """The same opaque id in every world."""
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:24]


def ids(key: str) -> dict[str, str]:
    return {
        "supplier_id": opaque(key, "supplier"),
        "work_id": opaque(key, "work"),
        "lane_id": opaque(key, "lane"),
        "person_id": opaque(key, "person", 0),
        "pool": opaque(key, "pool"),
        "public_id": opaque("item", 3 if key == "bolt" else 0),
        "visit": opaque(key, "visit", 0),
    }


def build(outside: Outside, suppliers: tuple[str, ...] = SUPPLIERS) -> None:
    """`bolt` comes before `acme` everywhere, so that it moves every number that is counted up."""
    with outside.db.write() as session:
        ensure_roles(session)
        project = make_project(session, due_at=NOW + timedelta(days=9))
        items = make_items(session, project, 60, state=ItemState.IN_LABELING)
        for n, item in enumerate(items):
            item.public_id = opaque("item", n)
        session.flush()
        for key in sorted(suppliers, reverse=True):
            _supplier(outside, session, project, items, key)


def _supplier(
    outside: Outside, session: Session, project: ProjectRow, items: list[ItemRow], key: str
) -> None:
    mine = ids(key)
    server = make_server(
        session, name=f"{key}-studio", url=f"http://{key}.example", public_id=opaque(key, "server")
    )
    supplier = SupplierRow(
        key=key, name=f"{key.title()} Data", time_zone="Asia/Shanghai", public_id=mine["supplier_id"],
        email_domains=[f"{key}.example"], server_id=server.id,
    )  # fmt: skip
    session.add(supplier)
    session.flush()
    server.supplier_id = supplier.id
    pool = make_pool(session, f"{key}-pool", supplier_id=supplier.id, public_id=mine["pool"])
    card = make_rate_card(session, pool, price="0.11" if key == "acme" else "0.77")
    card.supplier_id, card.project_id = supplier.id, project.id
    session.add(
        SupplierProjectRow(
            supplier_id=supplier.id, project_id=project.id, public_id=mine["work_id"],
            title=f"Mood for {key}", since=NOW,
        )
    )  # fmt: skip
    lane = LaneRow(
        public_id=mine["lane_id"], project_id=project.id, server_id=server.id, pool_id=pool.id,
        supplier_id=supplier.id, stage="label", overlap=2, title="lane", description="", ls_project_id=1,
        state="ready", problem="", created_at=NOW,
    )  # fmt: skip
    session.add(lane)
    session.flush()
    persons = []
    for n in range(3):
        person = PersonRow(
            public_id=opaque(key, "person", n), name=f"{key.title()} {'ABC'[n]}", email=f"{n}@{key}.example",
            supplier_id=supplier.id, active=True, created_at=NOW,
        )  # fmt: skip
        session.add(person)
        session.flush()
        session.add(
            AccountRow(
                server_id=server.id, person_id=person.id, ls_user_id=n + 1, email=person.email,
                supplier_id=supplier.id, created_at=NOW,
            )
        )  # fmt: skip
        session.add(
            PoolMemberRow(pool_id=pool.id, person_id=person.id, supplier_id=supplier.id, joined_at=NOW)
        )
        persons.append(person)
    # They share items: what one answers must not show in the figures of the other.
    chosen = items[:40] if key == "acme" else items[3:55]
    _answers(session, project, supplier, lane, server.id, persons, chosen, card, key)
    report_incident(
        session, "answer_lost", f"lane:{mine['lane_id']}", f"a push of {key} got no answer", now=NOW,
        project_id=project.id, supplier_id=supplier.id, severity="bad" if key == "bolt" else "warn",
    )  # fmt: skip
    user = create_user_hashed(
        session, outside, email=f"lead@{key}.example", name=f"{key.title()} Lead", password_hash="",
        role=Role.SUPPLIER_LEAD,
    )  # fmt: skip
    make_lead(session, outside, user.id, supplier.id)
    persons[0].user_id = None


def _answers(
    session: Session, project: ProjectRow, supplier: SupplierRow, lane: LaneRow, server_id: int,
    persons: list[PersonRow], items: list[ItemRow], card: Any, key: str,
) -> None:  # fmt: skip
    changes, answered = [], []
    for n, item in enumerate(items):
        visit = VisitRow(
            public_id=opaque(key, "visit", n), project_id=project.id, item_id=item.id, lane_id=lane.id,
            supplier_id=supplier.id, purpose="ordinary" if key == "acme" else "audit", round=1, attempt=1,
            show_suggestion=False, priority=1, overlap=2, state="answered" if n % 4 else "in_lane",
            epoch=1, ls_task_id=n + 1, created_at=NOW,
        )  # fmt: skip
        session.add(visit)
        session.flush()
        given = []
        for k, person in enumerate(persons[:2]):
            at = NOW - timedelta(hours=3 * n + k)
            label = LABELS[(n + (k if n % 5 == 0 else 0)) % 3]
            row = AnnotationRow(
                project_id=project.id, item_id=item.id, visit_id=visit.id, server_id=server_id, epoch=1,
                ls_annotation_id=2 * n + k + 1, ls_task_id=n + 1, ls_user_id=k + 1, person_id=person.id,
                supplier_id=supplier.id, status="counted", reason="", label=label, blind=True, predicted="",
                lead_time_s=10.0 + n, result=[], revision=1, created_at=at, ls_updated_at=at, received_at=at,
            )  # fmt: skip
            session.add(row)
            session.flush()
            session.add(
                AnswerRow(
                    annotation_id=row.id, position=0, control="label", kind="choice", value=label,
                    supplier_id=supplier.id,
                )
            )  # fmt: skip
            given.append((person.id, label))
            fact = Fact(row.id, item.id, person.id, Status.COUNTED, label, True, "", None, 10.0 + n, at)
            changes.append(Change(None, fact))
        answered.append(ItemAnswers((), tuple(given)))
    record_annotations(
        session, project.id, changes, answered, labels=LABELS, lead_time_cap_s=300, now=NOW,
        rates=[Rate(card.id, "item", Decimal(str(card.price)), "USD")],
    )  # fmt: skip


def lead(outside: Outside, key: str = "acme") -> TestClient:
    """The browser of a supplier's lead."""
    from workbench.auth.store import user_by_email

    client = TestClient(create_app(outside), follow_redirects=False, raise_server_exceptions=False)
    with outside.db.write() as session:
        user = user_by_email(session, f"lead@{key}.example")
        assert user is not None
        cookie = open_session(session, outside, user.id, browser="test")
    client.cookies.set("wb_session", cookie)
    client.headers["X-CSRF-Token"] = csrf_token(cookie, "test")
    return client


_CHANCE = (
    (re.compile(r"[0-9a-f]{8,32}\.[0-9a-f]{64}"), "CSRF"),
    (re.compile(r'nonce="[^"]+"'), "NONCE"),
    (re.compile(r"'nonce-[^']+'"), "NONCE"),
    (re.compile(r"/invitations/[0-9a-f]{48}"), "/invitations/LINK"),
    (re.compile(r'"id":"[0-9a-f]{64}"'), "SESSION"),
    (re.compile(r"\b(chart|ask|menu|field|x|[a-z]+)-[0-9a-f]{8}\b"), r"\1"),
)


def plain(text: str) -> str:
    """The answer without what chance put into it."""
    for pattern, word in _CHANCE:
        text = pattern.sub(word, text)
    return text


def seen(response: Any) -> tuple[int, str, str]:
    """All that somebody learns from an answer: status, headers that say something, and every byte."""
    told = {
        name: plain(value)
        for name, value in response.headers.items()
        if name
        in {"content-type", "content-disposition", "location", "hx-redirect", "allow", "etag", "retry-after"}
    }
    kind = response.headers.get("content-type", "")
    body = response.content.hex() if "sheet" in kind else plain(response.text)
    return response.status_code, json.dumps(told, sort_keys=True), body
