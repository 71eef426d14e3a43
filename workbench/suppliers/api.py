"""A lead's own supplier as JSON."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import BaseModel

from workbench.auth.access import Caller, require
from workbench.auth.domain import Permission
from workbench.errors import InvalidInput
from workbench.overview.domain import Coefficient
from workbench.suppliers import store
from workbench.suppliers.domain import PersonLine
from workbench.suppliers.views import home, work_view
from workbench.web.current import Out

router = APIRouter(prefix="/api/v1")
Search = Annotated[str, Query(max_length=200)]


class WorkOut(BaseModel):
    """One project in a line."""

    id: str
    title: str
    state: str
    waiting: int
    today: int
    week: int


class SupplierOut(BaseModel):
    """The supplier and its projects."""

    name: str
    time_zone: str
    projects: list[WorkOut]


class Figure(BaseModel):
    """A figure with its 95% interval; null where there is too little to say."""

    value: float
    low: float | None
    high: float | None


class LaneOut(BaseModel):
    """One lane."""

    id: str
    pool: str
    stage: str
    waiting: int
    server: str


class PersonOut(BaseModel):
    """One person, over the last seven days."""

    id: str
    name: str
    email: str
    active: bool
    pools: list[str]
    answers: int
    skipped: int
    not_counted: int
    lead_time_s: float | None


class EarnedOut(BaseModel):
    """What a kind of work has earned."""

    kind: str
    currency: str
    amount: Decimal
    quantity: Decimal


class WorkDetail(WorkOut):
    """One project in full; `earned` is null for who may not see costs."""

    doubly_answered: int
    alpha: Figure | None
    ac1: Figure | None
    lanes: list[LaneOut]
    people: list[PersonOut]
    earned: list[EarnedOut] | None


class AnswerOut(BaseModel):
    """One answer of the supplier's people."""

    item: str
    task: str
    person: str
    label: str
    status: str
    lead_time_s: float | None
    given_at: datetime


class AnswersOut(BaseModel):
    """A page of answers; give `after` to get the next, empty on the last."""

    answers: list[AnswerOut]
    after: str


@router.get("/supplier")
def supplier(outside: Out, caller: Caller = require(Permission.OWN_SUPPLIER_READ)) -> SupplierOut:
    """The supplier whose lead asks."""
    with outside.db.read(tenant=caller.supplier) as session:
        view = home(session, outside.now())
    return SupplierOut(
        name=view.name,
        time_zone=view.zone,
        projects=[
            WorkOut(
                id=work.public_id,
                title=work.title,
                state=work.state,
                waiting=progress.waiting,
                today=progress.today,
                week=progress.week,
            )
            for work, progress in view.works
        ],
    )


@router.get("/supplier/people")
def people(
    outside: Out, search: Search = "", caller: Caller = require(Permission.OWN_SUPPLIER_READ)
) -> list[PersonOut]:
    """The supplier's people."""
    with outside.db.read(tenant=caller.supplier) as session:
        found = store.people(session, outside.now(), search=search.strip())
    return [_person(one) for one in found]


@router.get("/supplier/projects/{work_id}")
def work(outside: Out, work_id: str, caller: Caller = require(Permission.OWN_SUPPLIER_READ)) -> WorkDetail:
    """One of the supplier's projects."""
    costs = caller.may(Permission.OWN_SUPPLIER_COSTS)
    with outside.db.read(tenant=caller.supplier) as session:
        view = work_view(session, work_id, outside.now(), costs=costs)
    return WorkDetail(
        id=view.work.public_id,
        title=view.work.title,
        state=view.work.state,
        waiting=view.progress.waiting,
        today=view.progress.today,
        week=view.progress.week,
        doubly_answered=view.agreement.n_items,
        alpha=_figure(view.agreement.alpha),
        ac1=_figure(view.agreement.ac1),
        lanes=[
            LaneOut(id=one.public_id, pool=one.title, stage=one.stage, waiting=one.waiting, server=one.server)
            for one in view.lanes
        ],
        people=[_person(one) for one in view.people],
        earned=[
            EarnedOut(kind=one.kind, currency=one.currency, amount=one.amount, quantity=one.quantity)
            for one in view.earned
        ]
        if costs
        else None,
    )


@router.get("/supplier/projects/{work_id}/answers")
def answers(
    outside: Out,
    work_id: str,
    after: Annotated[str, Query(max_length=40)] = "",
    person: Search = "",
    caller: Caller = require(Permission.OWN_SUPPLIER_EXPORT),
) -> AnswersOut:
    """The supplier's own answers, a thousand at a time."""
    with outside.db.read(tenant=caller.supplier) as session:
        found = store.find_work(session, work_id)
        begin = store.place_of(session, after) if after else 0
        if begin is None:
            raise InvalidInput("this page of the list does not exist; begin without `after`")
        rows = store.answers(session, found.project_id, after=begin, person=person)
        more = store.marker_of(session, rows[-1][0]) if len(rows) == store.ANSWERS_A_PAGE else ""
    return AnswersOut(answers=[AnswerOut.model_validate(values) for _, values in rows], after=more)


def _person(one: PersonLine) -> PersonOut:
    return PersonOut(
        id=one.public_id,
        name=one.name,
        email=one.email,
        active=one.active,
        pools=list(one.pools),
        answers=one.answers,
        skipped=one.skipped,
        not_counted=one.not_counted,
        lead_time_s=one.lead_time_s,
    )


def _figure(one: Coefficient | None) -> Figure | None:
    return None if one is None else Figure(value=one.value, low=one.low, high=one.high)
