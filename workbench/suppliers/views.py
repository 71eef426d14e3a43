"""What the pages and the API of a supplier's lead show, read in one session bound to the supplier."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.orm import Session

from workbench.incidents.tables import IncidentRow
from workbench.overview.agreement import agreement_of
from workbench.overview.domain import Agreement
from workbench.suppliers import store
from workbench.suppliers.domain import Amount, LaneLine, PersonLine, Price, Progress, Work


@dataclass(frozen=True)
class Home:
    """The first page: every project in a line, and what went wrong."""

    name: str
    zone: str
    works: list[tuple[Work, Progress]]
    incidents: list[IncidentRow]
    people: int


@dataclass(frozen=True)
class WorkView:
    """One project; `earned` and `prices` are empty for who may not see costs."""

    name: str
    work: Work
    progress: Progress
    agreement: Agreement
    lanes: list[LaneLine]
    people: list[PersonLine]
    earned: list[Amount]
    prices: list[Price]


def home(session: Session, now: datetime) -> Home:
    """The supplier's projects and how they stand."""
    name, zone = store.name_and_zone(session)
    found = [(work, store.progress(session, work.project_id, zone, now)) for work in store.works(session)]
    return Home(name, zone, found, store.incidents(session), len(store.people(session, now)))


def work_view(session: Session, public_id: str, now: datetime, *, costs: bool) -> WorkView:
    """One of the supplier's projects.

    Raises:
        NotFound: There is none of that id.
    """
    name, zone = store.name_and_zone(session)
    work = store.find_work(session, public_id)
    labels = store.label_values(session, work.project_id)
    people = [
        line
        for line in store.people(session, now, project_id=work.project_id)
        if line.pools or line.answers or line.skipped
    ]
    return WorkView(
        name=name,
        work=work,
        progress=store.progress(session, work.project_id, zone, now),
        agreement=agreement_of(store.patterns(session, work.project_id, labels), len(labels)),
        lanes=store.lanes(session, work.project_id),
        people=people,
        earned=store.earned(session, work.project_id) if costs else [],
        prices=store.prices(session, work.project_id) if costs else [],
    )
