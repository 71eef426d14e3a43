"""Queries of a supplier's lead; none names the supplier: `Database.read(tenant=…)` binds the session."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import case, func, select
from sqlalchemy.orm import Session

from workbench.errors import NotFound
from workbench.incidents.tables import IncidentRow
from workbench.items.tables import ItemRow
from workbench.labeling.domain import VisitState
from workbench.labeling.tables import AnnotationRow, LaneRow, VisitRow
from workbench.people.tables import (
    InvitationRow,
    PersonRow,
    PoolMemberRow,
    PoolRow,
    RateCardRow,
    ServerRow,
    SupplierProjectRow,
    SupplierRow,
)
from workbench.projects.tables import ProjectLabelRow, ProjectRow
from workbench.suppliers.domain import Amount, Column, LaneLine, PersonLine, Price, Progress, Work
from workbench.tallies.domain import Status
from workbench.tallies.tables import HourTallyRow, LedgerRow

OPEN = (VisitState.QUEUED, VisitState.PUSHING, VisitState.IN_LANE, VisitState.REOPEN)
USABLE = (Status.COUNTED, Status.ABOVE_OVERLAP)
WEEK = 7
ANSWERS_A_PAGE = 1_000
NOT_YOURS = "there is no such thing, or it is not yours to see"


def name_and_zone(session: Session) -> tuple[str, str]:
    """The supplier's name and time zone."""
    name, zone = session.execute(select(SupplierRow.name, SupplierRow.time_zone)).one()
    return name, zone


def works(session: Session) -> list[Work]:
    """The projects the supplier works on, by the names it was told."""
    rows = session.execute(
        select(
            SupplierProjectRow.project_id,
            SupplierProjectRow.public_id,
            SupplierProjectRow.title,
            ProjectRow.state,
            ProjectRow.time_zone,
            ProjectRow.currency,
            ProjectRow.due_at,
        )
        .join(ProjectRow, ProjectRow.id == SupplierProjectRow.project_id)
        .order_by(SupplierProjectRow.title, SupplierProjectRow.since)
    )
    return [Work(*row) for row in rows]


def find_work(session: Session, public_id: str) -> Work:
    """One of the supplier's projects.

    Raises:
        NotFound: There is none of that id.
    """
    found = next((one for one in works(session) if one.public_id == public_id), None)
    if found is None:
        raise NotFound(NOT_YOURS)
    return found


def progress(session: Session, project_id: int, zone: str, now: datetime) -> Progress:
    """What waits, and what the supplier's people did in seven days."""
    local = ZoneInfo(zone)
    midnight = now.astimezone(local).replace(hour=0, minute=0, second=0, microsecond=0)
    days = [(midnight - timedelta(days=back)).date() for back in range(WEEK - 1, -1, -1)]
    sums = dict.fromkeys(days, 0)
    lead_ms = timed = 0
    rows = session.execute(
        select(
            HourTallyRow.hour,
            HourTallyRow.counted + HourTallyRow.above_overlap,
            HourTallyRow.lead_time_ms,
            HourTallyRow.timed,
        ).where(HourTallyRow.project_id == project_id, HourTallyRow.hour >= midnight - timedelta(days=WEEK))
    )
    for hour, answers, ms, count in rows:
        day = hour.astimezone(local).date()
        if day in sums:
            sums[day] += answers
            lead_ms, timed = lead_ms + ms, timed + count
    waiting = session.scalar(
        select(func.count(VisitRow.id)).where(VisitRow.project_id == project_id, VisitRow.state.in_(OPEN))
    )
    return Progress(
        waiting=waiting or 0,
        today=sums[days[-1]],
        week=sum(sums.values()),
        by_day=tuple((f"{day:%Y-%m-%d}", count) for day, count in sums.items()),
        lead_time_s=lead_ms / 1000 / timed if timed else None,
    )


def lanes(session: Session, project_id: int) -> list[LaneLine]:
    """The lanes of the supplier's people in a project."""
    waiting = select(VisitRow.lane_id, func.count(VisitRow.id)).where(
        VisitRow.project_id == project_id, VisitRow.state.in_(OPEN)
    )
    counts: dict[int, int] = {lane: n for lane, n in session.execute(waiting.group_by(VisitRow.lane_id))}  # noqa: C416
    rows = session.execute(
        select(LaneRow, PoolRow.name, ServerRow.name)
        .join(PoolRow, PoolRow.id == LaneRow.pool_id)
        .join(ServerRow, ServerRow.id == LaneRow.server_id)
        .where(LaneRow.project_id == project_id)
        .order_by(PoolRow.name, LaneRow.stage, LaneRow.id)
    )
    return [
        LaneLine(row.public_id, pool, row.stage, counts.get(row.id, 0), server, row.ls_project_id is not None)
        for row, pool, server in rows
    ]


def lane_place(session: Session, public_id: str) -> tuple[str, int]:
    """The server's address and the Label Studio project of one of the supplier's lanes.

    Raises:
        NotFound: There is none of that id, or Label Studio has not heard of it yet.
    """
    row = session.execute(
        select(ServerRow.url, LaneRow.ls_project_id)
        .join(ServerRow, ServerRow.id == LaneRow.server_id)
        .where(LaneRow.public_id == public_id)
    ).one_or_none()
    if row is None or row[1] is None:
        raise NotFound(NOT_YOURS)
    return row[0], row[1]


def people(
    session: Session, now: datetime, *, search: str = "", project_id: int | None = None
) -> list[PersonLine]:
    """The supplier's people by name, with what they did in seven days."""
    wanted = select(PersonRow.id, PersonRow.public_id, PersonRow.name, PersonRow.email, PersonRow.active)
    if search:
        pattern = "%" + search.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_") + "%"
        wanted = wanted.where(
            PersonRow.name.ilike(pattern, escape="\\") | PersonRow.email.ilike(pattern, escape="\\")
        )
    pools: dict[int, list[str]] = defaultdict(list)
    for person_id, name in session.execute(
        select(PoolMemberRow.person_id, PoolRow.name)
        .join(PoolRow, PoolRow.id == PoolMemberRow.pool_id)
        .where(PoolMemberRow.left_at.is_(None))
        .order_by(PoolRow.name)
    ):
        pools[person_id].append(name)
    done = _done_by(session, now - timedelta(days=WEEK), project_id)
    pending = {
        person_id: "pending" if until > now else "expired"
        for person_id, until in session.execute(
            select(InvitationRow.person_id, func.max(InvitationRow.expires_at))
            .where(InvitationRow.accepted_at.is_(None))
            .group_by(InvitationRow.person_id)
        )
    }
    lines = []
    rows = session.execute(wanted.order_by(PersonRow.name, PersonRow.public_id))
    for person_id, public_id, name, email, active in rows:
        answered, skipped, refused, lead_time_s = done.get(person_id, (0, 0, 0, None))
        lines.append(
            PersonLine(
                public_id=public_id,
                name=name,
                email=email,
                active=active,
                pools=tuple(pools[person_id]),
                answers=answered,
                skipped=skipped,
                not_counted=refused,
                lead_time_s=lead_time_s,
                invitation=pending.get(person_id, ""),
            )
        )
    return lines


def _done_by(
    session: Session, since: datetime, project_id: int | None
) -> dict[int, tuple[int, int, int, float | None]]:
    wanted = select(
        HourTallyRow.person_id,
        func.sum(HourTallyRow.counted + HourTallyRow.above_overlap),
        func.sum(HourTallyRow.skipped),
        func.sum(HourTallyRow.not_counted),
        func.sum(HourTallyRow.lead_time_ms),
        func.sum(HourTallyRow.timed),
    ).where(HourTallyRow.hour >= since)
    if project_id is not None:
        wanted = wanted.where(HourTallyRow.project_id == project_id)
    return {
        person: (int(n), int(skipped), int(refused), float(ms) / 1000 / int(timed) if timed else None)
        for person, n, skipped, refused, ms, timed in session.execute(wanted.group_by(HourTallyRow.person_id))
    }


def label_values(session: Session, project_id: int) -> tuple[str, ...]:
    """The project's labels in the order annotators see."""
    return tuple(
        session.scalars(
            select(ProjectLabelRow.value)
            .where(ProjectLabelRow.project_id == project_id)
            .order_by(ProjectLabelRow.position)
        )
    )


def patterns(session: Session, project_id: int, labels: Sequence[str]) -> tuple[tuple[str, int], ...]:
    """Blind answers of the supplier's people per label, and how many items show them.

    Counted by the database from each person's first answer to an item, as the project's own tally is.
    """
    if not labels:
        return ()
    first = (
        select(func.min(AnnotationRow.id))
        .where(*_blind(project_id))
        .group_by(AnnotationRow.item_id, AnnotationRow.person_id)
    )
    sums = [func.sum(case((AnnotationRow.label == label, 1), else_=0)) for label in labels]
    rows = session.execute(
        select(*sums)
        .where(AnnotationRow.project_id == project_id, AnnotationRow.id.in_(first))
        .group_by(AnnotationRow.item_id)
        .having(func.count(AnnotationRow.id) > 1)
    )
    found: dict[str, int] = defaultdict(int)
    for row in rows:
        found[",".join(str(int(one)) for one in row)] += 1
    return tuple(sorted(found.items()))


def _blind(project_id: int) -> tuple[Any, ...]:
    return (
        AnnotationRow.project_id == project_id,
        AnnotationRow.blind,
        AnnotationRow.deleted_at.is_(None),
        AnnotationRow.status.in_(USABLE),
        AnnotationRow.person_id.is_not(None),
    )


def earned(session: Session, project_id: int) -> list[Amount]:
    """What the supplier's people have earned in a project, by kind of work."""
    rows = session.execute(
        select(LedgerRow.kind, LedgerRow.currency, func.sum(LedgerRow.amount), func.sum(LedgerRow.quantity))
        .where(LedgerRow.project_id == project_id)
        .group_by(LedgerRow.kind, LedgerRow.currency)
        .order_by(LedgerRow.kind, LedgerRow.currency)
    )
    return [
        Amount(kind, currency, _money(amount), _money(quantity)) for kind, currency, amount, quantity in rows
    ]


def _money(value: Any) -> Decimal:
    return value if isinstance(value, Decimal) else Decimal(value or 0)


def prices(session: Session, project_id: int) -> list[Price]:
    """The supplier's own prices in a project, the newest first."""
    rows = session.execute(
        select(RateCardRow, PoolRow.name)
        .outerjoin(PoolRow, PoolRow.id == RateCardRow.pool_id)
        .where((RateCardRow.project_id == project_id) | RateCardRow.project_id.is_(None))
        .order_by(RateCardRow.valid_from.desc(), RateCardRow.id.desc())
    )
    return [
        Price(pool or "all pools", row.unit, row.price, row.currency, row.valid_from, row.valid_to)
        for row, pool in rows
    ]


def pools(session: Session) -> list[tuple[str, str]]:
    """Opaque id and name of the supplier's pools."""
    rows = session.execute(select(PoolRow.public_id, PoolRow.name).order_by(PoolRow.name))
    return [(public_id or "", name) for public_id, name in rows]


def pool_id(session: Session, public_id: str) -> int:
    """The pool of that opaque id.

    Raises:
        NotFound: The supplier has none.
    """
    found = session.scalar(select(PoolRow.id).where(PoolRow.public_id == public_id))
    if found is None:
        raise NotFound(NOT_YOURS)
    return found


def project_of_pool(session: Session, wanted: int) -> int | None:
    """A project this pool has a lane in: where a new person's account is made."""
    return session.scalar(
        select(LaneRow.project_id).where(LaneRow.pool_id == wanted).order_by(LaneRow.id.desc()).limit(1)
    )


def incidents(session: Session) -> list[IncidentRow]:
    """What went wrong lately with the supplier's own things, the newest first."""
    return list(session.scalars(select(IncidentRow).order_by(IncidentRow.seen_at.desc()).limit(20)))


def version(session: Session) -> tuple[object, ...]:
    """Something that changes whenever the supplier's own pages do."""
    answers = session.execute(
        select(func.max(AnnotationRow.received_at), func.sum(AnnotationRow.revision))
    ).one()
    visits = session.execute(select(VisitRow.state, func.count(VisitRow.id)).group_by(VisitRow.state)).all()
    seen = session.execute(select(func.count(IncidentRow.id), func.max(IncidentRow.seen_at))).one()
    persons = session.scalar(select(func.count(PersonRow.id)))
    return (tuple(answers), tuple(sorted(map(tuple, visits))), tuple(seen), persons)


def answers(
    session: Session, project_id: int, *, after: int = 0, person: str = "", limit: int = ANSWERS_A_PAGE
) -> list[tuple[int, dict[str, Any]]]:
    """The supplier's own answers, oldest first: (row id, values by column)."""
    wanted = (
        select(
            AnnotationRow.id,
            ItemRow.public_id,
            VisitRow.public_id,
            PersonRow.name,
            AnnotationRow.label,
            AnnotationRow.status,
            AnnotationRow.lead_time_s,
            AnnotationRow.created_at,
        )
        .join(VisitRow, VisitRow.id == AnnotationRow.visit_id)
        .join(ItemRow, ItemRow.id == AnnotationRow.item_id)
        .outerjoin(PersonRow, PersonRow.id == AnnotationRow.person_id)
        .where(
            AnnotationRow.project_id == project_id,
            AnnotationRow.deleted_at.is_(None),
            AnnotationRow.id > after,
        )
    )
    if person:
        wanted = wanted.where(PersonRow.public_id == person)
    rows = session.execute(wanted.order_by(AnnotationRow.id).limit(limit)).all()
    names = [column.value for column in Column]
    return [(row[0], dict(zip(names, (row[1], row[2], row[3] or "", *row[4:]), strict=True))) for row in rows]


def all_answers(session: Session, project_id: int, person: str = "") -> Iterator[list[dict[str, Any]]]:
    """The supplier's own answers, a thousand at a time."""
    after = 0
    while page := answers(session, project_id, after=after, person=person):
        yield [values for _, values in page]
        after = page[-1][0]


def marker_of(session: Session, answer_id: int) -> str:
    """What names an answer's place in the list without telling how many answers others gave.

    It is the task of the answer and how many answers that task had before it.
    """
    row = session.execute(
        select(VisitRow.public_id, AnnotationRow.visit_id)
        .join(VisitRow, VisitRow.id == AnnotationRow.visit_id)
        .where(AnnotationRow.id == answer_id)
    ).one()
    before = session.scalar(
        select(func.count(AnnotationRow.id)).where(
            AnnotationRow.visit_id == row[1], AnnotationRow.id < answer_id
        )
    )
    return f"{row[0]}.{before or 0}"


def place_of(session: Session, marker: str) -> int | None:
    """The answer that a marker names; None where it names none of the supplier's."""
    task, _, place = marker.partition(".")
    if not (place.isascii() and place.isdecimal() and len(place) < 6):  # noqa: PLR2004 - nobody answers one so often
        return None
    return session.scalar(
        select(AnnotationRow.id)
        .join(VisitRow, VisitRow.id == AnnotationRow.visit_id)
        .where(VisitRow.public_id == task)
        .order_by(AnnotationRow.id)
        .offset(int(place))
        .limit(1)
    )
