"""The list of projects, a new project, and a project's settings."""

from __future__ import annotations

import zoneinfo
from collections.abc import AsyncIterator
from typing import IO, Annotated

from fastapi import APIRouter, Depends, Request
from starlette.datastructures import FormData, UploadFile
from starlette.responses import Response

from integrations.label_studio.errors import LabelConfigInvalid
from workbench.auth.access import Caller, require
from workbench.auth.domain import Permission
from workbench.errors import InvalidInput, NotAllowed, TooLarge, WorkbenchError
from workbench.outside import Outside
from workbench.people.store import servers as servers_of
from workbench.projects.domain import ProjectState
from workbench.projects.problems import SpecificationInvalid
from workbench.projects.reading import MAX_BYTES, read_text, to_yaml
from workbench.projects.service import specification_of
from workbench.projects.starters import STARTERS, starter
from workbench.projects.store import find_project, guideline_of_project
from workbench.setup.cards import project_cards
from workbench.setup.consequences import touches_money
from workbench.setup.creation import FormRefused, create_from_form
from workbench.setup.form import NEW_SERVER, NewProject, errors_by_field, quoted, threshold_words
from workbench.setup.planning import Plan, of_project, plan_project, plan_rows
from workbench.setup.service import change_settings, check_reach, set_project_state, set_up_project
from workbench.web.current import Out
from workbench.web.render import page, redirect

router = APIRouter()
_COLUMNS = ("label_value", "label_hotkey", "label_severity", "label_sensitive")
_BASELINE = "budget.all_human_baseline_per_label"
_SETTINGS = {
    "title": "title",
    "instruction": "instruction",
    "note": "note",
    "time_zone": "time_zone",
    "server": "server",
}


async def sent_form(request: Request) -> AsyncIterator[FormData]:
    """The form that a request carries; uploaded files are closed when it is answered."""
    form = await request.form()
    try:
        yield form
    finally:
        await form.close()


Sent = Annotated[FormData, Depends(sent_form)]


@router.get("/projects")
def projects_page(
    request: Request, outside: Out, caller: Caller = require(Permission.PROJECTS_READ)
) -> Response:
    """Every project the caller has a role in."""
    with outside.db.read() as session:
        cards = [card for card in project_cards(session) if caller.sees(card.id)]
    may_see_costs = caller.may(Permission.COSTS_READ)
    return page(request, "setup/projects.html", cards=cards, may_see_costs=may_see_costs)


@router.get("/projects/new")
def new_project_page(
    request: Request, outside: Out, template: str = "", caller: Caller = require(Permission.PROJECTS_CREATE)
) -> Response:
    """The form, filled from a template."""
    return _form(request, outside, caller, NewProject.from_starter(starter(template)))


@router.post("/projects/new")
def make_project(
    request: Request, outside: Out, sent: Sent, caller: Caller = require(Permission.PROJECTS_CREATE)
) -> Response:
    """Make the project, or show the form again with what is wrong beside each field."""
    form = _read(sent)
    if sent.get("step") == "more":
        return _form(request, outside, caller, form.more_rows())
    if form.values["server"] == NEW_SERVER and not caller.may(Permission.SERVERS_EDIT):
        refused = {"server": "Your role may not connect servers; choose one that is connected"}
        return _form(request, outside, caller, form, refused)
    try:
        made = create_from_form(outside, form, caller.email, may=caller.permissions, file=_file(sent))
    except FormRefused as problem:
        return _form(request, outside, caller, form, problem.errors)
    key = made.done.key
    onward = f"/projects/{key}/import/files/{made.upload_id}" if made.upload_id else f"/projects/{key}"
    if not made.invitations:
        return redirect(request, onward, notice="The project is made.")
    given = form.values
    return page(
        request, "setup/created.html", made=made, title=given["title"], server=given["server"], onward=onward
    )


@router.post("/projects/new/preview")
def preview(request: Request, sent: Sent, caller: Caller = require(Permission.PROJECTS_CREATE)) -> Response:  # noqa: ARG001
    """The labels as annotators will see them."""
    return _preview(request, _read(sent))


@router.get("/projects/new/threshold")
def threshold(
    request: Request,
    accept_at: float = 90.0,
    caller: Caller = require(Permission.PROJECTS_CREATE),  # noqa: ARG001
) -> Response:
    """What accepting at this confidence means."""
    return page(request, "setup/words.html", words=threshold_words(accept_at))


@router.get("/projects/{key}/settings")
def settings_page(
    request: Request, outside: Out, caller: Caller = require(Permission.PROJECTS_EDIT)
) -> Response:
    """A project's settings."""
    return _settings(request, outside, caller)


@router.post("/projects/{key}/settings")
def save_settings(
    request: Request, outside: Out, sent: Sent, caller: Caller = require(Permission.PROJECTS_EDIT)
) -> Response:
    """Save the settings that the form holds."""
    key = caller.here.key
    values: dict[str, object] = {
        path: str(sent[name]).strip() for name, path in _SETTINGS.items() if name in sent
    }
    if caller.may(Permission.RATES_EDIT):
        values |= _money(outside, key, sent)
    try:
        done = change_settings(outside, key, values, caller.email)
    except SpecificationInvalid as problem:
        named = {path: name for name, path in _SETTINGS.items()} | {_BASELINE: "baseline"}
        errors = errors_by_field(problem.problems)
        errors |= {named[one.path]: quoted(one.message) for one in problem.problems if one.path in named}
        return _settings(request, outside, caller, errors=errors, sent=sent)
    except WorkbenchError as problem:
        return _settings(request, outside, caller, errors={"": str(problem)}, sent=sent)
    notice = "Nothing to change." if done.unchanged else "Saved."
    return redirect(request, f"/projects/{key}/settings", notice=notice)


@router.post("/projects/{key}/settings/plan")
def show_plan(
    request: Request, outside: Out, sent: Sent, caller: Caller = require(Permission.PROJECTS_EDIT)
) -> Response:
    """What a document would change, before anything is."""
    try:
        text = _text_of(sent.get("file"))
        made = _planned(outside, caller, text)
    except WorkbenchError as problem:
        return _settings(request, outside, caller, errors={"file": str(problem)})
    return page(request, "setup/plan.html", plan=made, rows=plan_rows(made), document=text)


@router.post("/projects/{key}/settings/apply")
def apply_plan(
    request: Request, outside: Out, sent: Sent, caller: Caller = require(Permission.PROJECTS_EDIT)
) -> Response:
    """Apply the document whose plan was shown, if nothing changed since."""
    key = caller.here.key
    try:
        specification = of_project(read_text(str(sent.get("document", ""))).document(), key)
        _planned(outside, caller, str(sent.get("document", "")))
        set_up_project(outside, specification, caller.email, plan=str(sent.get("plan", "")) or "none")
    except WorkbenchError as problem:
        return _settings(request, outside, caller, errors={"file": str(problem)})
    return redirect(request, f"/projects/{key}/settings", notice="Applied.")


@router.post("/projects/{key}/state")
def change_state(
    request: Request, outside: Out, sent: Sent, caller: Caller = require(Permission.PROJECTS_EDIT)
) -> Response:
    """Pause, resume or close."""
    wanted = str(sent.get("state", ""))
    state = ProjectState(wanted) if wanted in set(ProjectState) else ProjectState.PAUSED
    set_project_state(outside, caller.here.key, state, caller.email)
    return redirect(request, f"/projects/{caller.here.key}/settings", notice=f"The project is {state}.")


@router.get("/projects/{key}/project.yaml")
def download(outside: Out, caller: Caller = require(Permission.PROJECTS_READ)) -> Response:
    """The project as a document for version control; without prices for who may not read them."""
    with outside.db.read() as session:
        specification = specification_of(find_project(session, caller.here.key))
    text = to_yaml(specification, prices=caller.may(Permission.RATES_READ))
    name = f'attachment; filename="{caller.here.key}.yaml"'
    return Response(text, media_type="application/yaml", headers={"Content-Disposition": name})


def _planned(outside: Outside, caller: Caller, text: str) -> Plan:
    """The plan of a document, if the caller may change all that it changes."""
    wanted = of_project(read_text(text).document(), caller.here.key)
    check_reach(outside, wanted, caller.projects)
    made = plan_project(outside, wanted)
    if touches_money(made.changes) and not caller.may(Permission.RATES_EDIT):
        raise NotAllowed("the document changes prices or the budget, which your role may not; ask a manager")
    return made


def _text_of(file: UploadFile | str | None) -> str:
    if not isinstance(file, UploadFile) or not file.filename:
        raise InvalidInput("choose the project's document")
    raw = file.file.read(MAX_BYTES + 1)
    if len(raw) > MAX_BYTES:
        raise TooLarge(f"a project document has at most {MAX_BYTES // 1000} KB; this one is larger")
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise InvalidInput("the document is not UTF-8 text; save it as UTF-8") from None


def _form(
    request: Request, outside: Outside, caller: Caller, form: NewProject, errors: dict[str, str] | None = None
) -> Response:
    with outside.db.read() as session:
        servers = [row.name for row in servers_of(session)]
    labels, problem = _shown(form)
    return page(
        request,
        "setup/new.html",
        status=422 if errors else 200,
        form=form,
        given=form.values,
        errors=errors or {},
        starters=STARTERS,
        servers=servers,
        may_connect=caller.may(Permission.SERVERS_EDIT),
        zones=sorted(zoneinfo.available_timezones()),
        labels=labels,
        problem=problem,
        words=threshold_words(_percent(form.values["accept_at"])),
    )


def _preview(request: Request, form: NewProject) -> Response:
    labels, problem = _shown(form)
    return page(
        request, "setup/preview.html", labels=labels, problem=problem, question=form.values["question"]
    )


def _shown(form: NewProject) -> tuple[list[tuple[str, str]], str]:
    try:
        return form.shown_labels(), ""
    except LabelConfigInvalid as problem:
        return [], str(problem)


def _settings(
    request: Request,
    outside: Outside,
    caller: Caller,
    *,
    errors: dict[str, str] | None = None,
    sent: FormData | None = None,
) -> Response:
    with outside.db.read() as session:
        row = find_project(session, caller.here.key)
        specification = specification_of(row)
        servers = [one.name for one in servers_of(session)]
        guideline = guideline_of_project(session, row.id)
        state = row.state
    values = {
        "title": specification.title,
        "instruction": specification.instruction,
        "note": specification.note,
        "time_zone": specification.zone,
        "server": specification.server,
        "baseline": str(specification.budget.all_human_baseline_per_label),
        "price": str(specification.pools[0].price or "") if specification.pools else "",
    }
    values |= {name: str(value) for name, value in (sent or {}).items() if isinstance(value, str)}
    return page(
        request,
        "setup/settings.html",
        status=422 if errors else 200,
        given=values,
        errors=errors or {},
        servers=servers,
        state=state,
        has_pool=len(specification.pools) == 1,
        unit=specification.pools[0].unit if specification.pools else "item",
        currency=specification.budget.currency,
        guideline=guideline.version if guideline else "",
        zones=sorted(zoneinfo.available_timezones()),
    )


def _money(outside: Outside, key: str, sent: FormData) -> dict[str, object]:
    """The money fields as changes of the document: the baseline, and the price of the project's one pool."""
    values: dict[str, object] = {}
    if "baseline" in sent:
        values[_BASELINE] = _decimal(sent["baseline"]) or "0"
    with outside.db.read() as session:
        pools = specification_of(find_project(session, key)).document().get("pools", [])
    if "price" in sent and len(pools) == 1:
        price = _decimal(sent["price"])
        pool = {name: value for name, value in pools[0].items() if name != "price"}
        values["pools"] = [pool | ({"price": price} if price else {})]
    return values


def _decimal(value: UploadFile | str) -> str:
    return str(value).strip().replace(",", ".")


def _read(sent: FormData) -> NewProject:
    texts = {name: value for name, value in sent.items() if isinstance(value, str)}
    lists = {name: [str(value) for value in sent.getlist(name)] for name in _COLUMNS}
    return NewProject.of(texts, lists)


def _file(sent: FormData) -> tuple[str, IO[bytes]] | None:
    file = sent.get("file")
    return (file.filename, file.file) if isinstance(file, UploadFile) and file.filename else None


def _percent(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return 90.0
