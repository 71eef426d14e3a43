"""Pages: a lead's own supplier under /supplier, and all suppliers under /suppliers for who sets them up."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Form, Query, Request
from fastapi.sse import EventSourceResponse, ServerSentEvent
from starlette.responses import Response, StreamingResponse

from integrations.label_studio.interface import lane_address
from workbench.auth.access import Caller, require
from workbench.auth.domain import Permission
from workbench.errors import WorkbenchError
from workbench.outside import Outside
from workbench.suppliers import exporting, service, store
from workbench.suppliers.administration import supplier_view, suppliers_view
from workbench.suppliers.charts import answers_by_day
from workbench.suppliers.views import home, work_view
from workbench.web.current import Out, RowId
from workbench.web.live import changes
from workbench.web.render import page, redirect

router = APIRouter()
Search = Annotated[str, Query(max_length=200)]
XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"


@router.get("/supplier")
def own_home(
    request: Request, outside: Out, caller: Caller = require(Permission.OWN_SUPPLIER_READ)
) -> Response:
    """A lead's first page."""
    with outside.db.read(tenant=caller.supplier) as session:
        view = home(session, outside.now())
    return page(request, "suppliers/home.html", view=view)


def _own_supplier(caller: Caller = require(Permission.OWN_SUPPLIER_READ)) -> int:
    """The lead's supplier; asked for before a stream begins, which could no longer say 404."""
    return caller.supplier


@router.get("/supplier/live", response_class=EventSourceResponse)
async def own_live(
    request: Request, outside: Out, supplier_id: Annotated[int, Depends(_own_supplier)]
) -> AsyncIterator[ServerSentEvent]:
    """Says when a lead's pages are no longer current."""

    def version() -> object:
        with outside.db.read(tenant=supplier_id) as session:
            return store.version(session)

    async for event in changes(request, version, every_s=2.0):
        yield event


@router.get("/supplier/projects/{work_id}")
def own_work(
    request: Request, outside: Out, work_id: str, caller: Caller = require(Permission.OWN_SUPPLIER_READ)
) -> Response:
    """One project of a lead's supplier."""
    costs = caller.may(Permission.OWN_SUPPLIER_COSTS)
    with outside.db.read(tenant=caller.supplier) as session:
        view = work_view(session, work_id, outside.now(), costs=costs)
    return page(request, "suppliers/work.html", view=view, costs=costs, days=answers_by_day(view.progress))


@router.get("/supplier/projects/{work_id}/answers.csv")
def own_answers_csv(
    outside: Out,
    work_id: str,
    person: Search = "",
    caller: Caller = require(Permission.OWN_SUPPLIER_EXPORT),
) -> Response:
    """The supplier's own answers as CSV."""
    with outside.db.read(tenant=caller.supplier) as session:
        work = store.find_work(session, work_id)
    lines = exporting.csv_lines(outside, caller.supplier, work.project_id, person)
    return _file(lines, "text/csv; charset=utf-8", f"answers-{work.public_id}.csv")


@router.get("/supplier/projects/{work_id}/answers.xlsx")
def own_answers_xlsx(
    outside: Out,
    work_id: str,
    person: Search = "",
    caller: Caller = require(Permission.OWN_SUPPLIER_EXPORT),
) -> Response:
    """The supplier's own answers as a workbook."""
    with outside.db.read(tenant=caller.supplier) as session:
        work = store.find_work(session, work_id)
    book = exporting.xlsx(outside, caller.supplier, work.project_id, person)
    return _file([book], XLSX, f"answers-{work.public_id}.xlsx")


def _file(content: Iterable[bytes], kind: str, name: str) -> Response:
    head = {"Content-Disposition": f'attachment; filename="{name}"', "X-Content-Type-Options": "nosniff"}
    return StreamingResponse(content, media_type=kind, headers=head)


@router.get("/supplier/lanes/{lane_id}")
def own_lane(
    outside: Out,
    lane_id: str,
    caller: Caller = require(Permission.OWN_SUPPLIER_READ),
) -> Response:
    """On to the lane in Label Studio, whose own address stays out of our pages."""
    with outside.db.read(tenant=caller.supplier) as session:
        url, ls_project_id = store.lane_place(session, lane_id)
    return Response(status_code=303, headers={"Location": lane_address(url, ls_project_id, has_door=False)})


@router.get("/supplier/people")
def own_people(
    request: Request,
    outside: Out,
    search: Search = "",
    caller: Caller = require(Permission.OWN_SUPPLIER_READ),
) -> Response:
    """The people of a lead's supplier."""
    return _own_people(request, outside, caller, search=search)


def _own_people(
    request: Request, outside: Outside, caller: Caller, *, status: int = 200, search: str = "", **more: Any
) -> Response:
    with outside.db.read(tenant=caller.supplier) as session:
        found = store.people(session, outside.now(), search=search.strip())
        pools = store.pools(session)
    shown = {"link": "", "invited": "", "problem": "", "given": {}} | more
    return page(
        request, "suppliers/people.html", status=status, people=found, pools=pools, search=search, **shown
    )


@router.post("/supplier/people/invitations")
def own_invite(
    request: Request,
    outside: Out,
    email: Annotated[str, Form()],
    pool: Annotated[str, Form()],
    name: Annotated[str, Form()] = "",
    caller: Caller = require(Permission.OWN_SUPPLIER_INVITE),
) -> Response:
    """An invitation of one of the supplier's own people; its link is shown this once."""
    try:
        made = service.invite_own(
            outside, caller.supplier, email=email, name=name, pool=pool, by=caller.email
        )
    except WorkbenchError as problem:
        given = {"email": email, "name": name, "pool": pool}
        return _own_people(request, outside, caller, status=problem.status, problem=str(problem), given=given)
    address = outside.settings.public_url or str(request.base_url)
    return _own_people(request, outside, caller, link=made.link(address.rstrip("/")), invited=made.email)


@router.get("/suppliers")
def all_suppliers(
    request: Request,
    outside: Out,
    caller: Caller = require(Permission.SUPPLIERS_READ),  # noqa: ARG001 - the check is what is wanted
) -> Response:
    """Every supplier."""
    return _all(request, outside)


def _all(request: Request, outside: Outside, *, status: int = 200, **more: Any) -> Response:
    with outside.db.read() as session:
        found = suppliers_view(session)
    shown = {"problem": "", "given": {}} | more
    return page(request, "suppliers/list.html", status=status, suppliers=found, **shown)


@router.post("/suppliers")
def create(
    request: Request,
    outside: Out,
    key: Annotated[str, Form()],
    name: Annotated[str, Form()],
    time_zone: Annotated[str, Form()] = "UTC",
    caller: Caller = require(Permission.SUPPLIERS_EDIT),
) -> Response:
    """A new supplier."""
    try:
        with outside.db.write() as session:
            made = service.create_supplier(
                session, outside, key=key, name=name, time_zone=time_zone, by=caller.email
            )
    except WorkbenchError as problem:
        given = {"key": key, "name": name, "time_zone": time_zone}
        return _all(request, outside, status=problem.status, problem=str(problem), given=given)
    return redirect(request, f"/suppliers/{made.public_id}", notice=f"{made.name} is here now.")


@router.get("/suppliers/{supplier_id}")
def one_supplier(
    request: Request, outside: Out, supplier_id: str, caller: Caller = require(Permission.SUPPLIERS_READ)
) -> Response:
    """One supplier: server, people, leads, names of projects."""
    return _one(request, outside, supplier_id, caller)


def _one(
    request: Request, outside: Outside, supplier_id: str, caller: Caller, *, status: int = 200, **more: Any
) -> Response:
    with outside.db.read() as session:
        view = supplier_view(session, service.find_supplier(session, supplier_id))
    shown = {"problem": "", "link": "", "invited": "", "given": {}} | more
    return page(request, "suppliers/one.html", status=status, view=view, caller=caller, **shown)


@router.post("/suppliers/{supplier_id}/server")
def set_server(
    request: Request,
    outside: Out,
    supplier_id: str,
    server: Annotated[str, Form()] = "",
    caller: Caller = require(Permission.SUPPLIERS_EDIT),
) -> Response:
    """The supplier's own server, or none."""
    try:
        with outside.db.write() as session:
            supplier = service.find_supplier(session, supplier_id)
            wanted = service.server_id_of(session, server) if server else None
            service.set_server(session, outside, supplier, wanted, by=caller.email)
    except WorkbenchError as problem:
        return _one(request, outside, supplier_id, caller, status=problem.status, problem=str(problem))
    return redirect(request, f"/suppliers/{supplier_id}", notice="The server is set; what waits moves there.")


@router.post("/suppliers/{supplier_id}/domains")
def set_domains(
    request: Request,
    outside: Out,
    supplier_id: str,
    domains: Annotated[str, Form()] = "",
    caller: Caller = require(Permission.SUPPLIERS_EDIT),
) -> Response:
    """Whose addresses its leads may invite."""
    try:
        with outside.db.write() as session:
            supplier = service.find_supplier(session, supplier_id)
            service.set_domains(session, outside, supplier, domains, by=caller.email)
    except WorkbenchError as problem:
        return _one(request, outside, supplier_id, caller, status=problem.status, problem=str(problem))
    return redirect(request, f"/suppliers/{supplier_id}", notice="The domains are set.")


@router.post("/suppliers/{supplier_id}/pools")
def add_pool(
    request: Request,
    outside: Out,
    supplier_id: str,
    name: Annotated[str, Form()],
    language: Annotated[str, Form()] = "",
    caller: Caller = require(Permission.SUPPLIERS_EDIT),
) -> Response:
    """A further pool."""
    try:
        with outside.db.write() as session:
            supplier = service.find_supplier(session, supplier_id)
            service.add_pool(session, outside, supplier, name=name, language=language, by=caller.email)
    except WorkbenchError as problem:
        return _one(request, outside, supplier_id, caller, status=problem.status, problem=str(problem))
    return redirect(request, f"/suppliers/{supplier_id}", notice="The pool is here now.")


@router.post("/suppliers/{supplier_id}/projects")
def name_project(
    request: Request,
    outside: Out,
    supplier_id: str,
    project: Annotated[str, Form()],
    title: Annotated[str, Form()],
    caller: Caller = require(Permission.SUPPLIERS_EDIT),
) -> Response:
    """What a project is called towards the supplier."""
    with outside.db.write() as session:
        supplier = service.find_supplier(session, supplier_id)
        project_id = service.project_named(session, supplier, project)
        service.name_project(session, outside, supplier, project_id, title, by=caller.email)
    return redirect(request, f"/suppliers/{supplier_id}", notice="The name is set.")


@router.post("/suppliers/{supplier_id}/leads")
def invite_lead(
    request: Request,
    outside: Out,
    supplier_id: str,
    email: Annotated[str, Form()],
    name: Annotated[str, Form()] = "",
    caller: Caller = require(Permission.SUPPLIERS_EDIT),
) -> Response:
    """An invitation to lead the supplier."""
    try:
        with outside.db.write() as session:
            made = service.invite_lead(
                session,
                outside,
                service.find_supplier(session, supplier_id),
                email=email,
                name=name,
                by=caller.email,
                may=caller.permissions,
            )
    except WorkbenchError as problem:
        given = {"email": email, "name": name}
        return _one(
            request, outside, supplier_id, caller, status=problem.status, problem=str(problem), given=given
        )
    address = outside.settings.public_url or str(request.base_url)
    return _one(
        request, outside, supplier_id, caller, link=made.link(address.rstrip("/")), invited=made.email
    )


@router.post("/suppliers/{supplier_id}/leads/{user_id}/remove")
def remove_lead(
    request: Request,
    outside: Out,
    supplier_id: str,
    user_id: RowId,
    caller: Caller = require(Permission.SUPPLIERS_EDIT),
) -> Response:
    """Ends a lead."""
    with outside.db.write() as session:
        supplier = service.find_supplier(session, supplier_id)
        service.remove_lead(session, outside, supplier, user_id, by=caller.email)
    return redirect(request, f"/suppliers/{supplier_id}", notice="They no longer lead this supplier.")


@router.post("/suppliers/{supplier_id}/active")
def set_active(
    request: Request,
    outside: Out,
    supplier_id: str,
    active: Annotated[bool, Form()],
    caller: Caller = require(Permission.SUPPLIERS_EDIT),
) -> Response:
    """Lets a supplier work, or stops it."""
    with outside.db.write() as session:
        supplier = service.find_supplier(session, supplier_id)
        service.set_supplier_active(session, outside, supplier, active=active, by=caller.email)
    words = "It gets work again." if active else "It gets no new work; its leads can no longer sign in."
    return redirect(request, f"/suppliers/{supplier_id}", notice=words)


@router.post("/suppliers/{supplier_id}/people/{person_id}/active")
def set_person_active(
    request: Request,
    outside: Out,
    supplier_id: str,
    person_id: str,
    active: Annotated[bool, Form()],
    caller: Caller = require(Permission.SUPPLIERS_EDIT),
) -> Response:
    """Lets a person work, or ends it."""
    with outside.db.write() as session:
        supplier = service.find_supplier(session, supplier_id)
        person = service.set_person_active(
            session, outside, supplier, person_id, active=active, by=caller.email
        )
    words = f"{person.name} works again." if active else f"{person.name} gets no more work; answers stay."
    return redirect(request, f"/suppliers/{supplier_id}", notice=words)
