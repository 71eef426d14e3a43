"""A project's routing page: the policy in force, a form to change it, and its versions."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from fastapi import APIRouter, Depends, Request
from sqlalchemy.orm import Session
from starlette.datastructures import FormData
from starlette.responses import Response

from routing.errors import PolicyInvalid
from routing.policy import RoutingPolicy, parse_policy
from workbench.auth.access import Caller, require
from workbench.auth.domain import Permission
from workbench.decisions import service, store
from workbench.decisions.rule_form import (
    PolicyForm,
    RuleLine,
    document_of,
    error_place,
    form_of,
    plain_words,
)
from workbench.decisions.what_if import Comparison, compare, pool_names
from workbench.outside import Outside
from workbench.projects.store import labels_of_project
from workbench.web.current import Out, RowId
from workbench.web.render import page, redirect

router = APIRouter()
_MOST_RULES = 40


async def _form(request: Request) -> FormData:
    return await request.form()


_SENT = Depends(_form)


def _labels(session: Session, caller: Caller) -> tuple[str, ...]:
    return tuple(label.value for label in labels_of_project(session, caller.here.id))


def _page(
    request: Request,
    outside: Outside,
    caller: Caller,
    *,
    form: PolicyForm | None = None,
    threshold_before: str = "",
    errors: dict[int | None, str] | None = None,
    comparison: Comparison | None = None,
) -> Response:
    with outside.db.read() as session:
        labels, pools = _labels(session, caller), pool_names(session, caller.here.id, caller.projects)
        active = store.active_policy(session, caller.here.id)
        versions = store.policies_of(session, caller.here.id)
    document = active.document if active else service.ALL_TO_PEOPLE
    policy = parse_policy(document, labels=labels)
    shown = form or form_of(document)
    return page(
        request,
        "decisions/routing.html",
        status=422 if errors else 200,
        active=active,
        versions=versions,
        words=plain_words(policy, pools),
        policy=policy,
        form=shown,
        lines=[*shown.rules, *([RuleLine()] if not (shown.rules and shown.rules[-1].is_blank) else [])],
        in_force=form_of(document).threshold or "none",
        threshold_before=threshold_before if form else shown.threshold,
        errors=errors or {},
        comparison=comparison,
        labels=labels,
        pools=[("", "the project's own pool"), *pools.items()],
    )


@router.get("/projects/{key}/routing")
def routing_page(
    request: Request, outside: Out, caller: Caller = require(Permission.ROUTING_READ)
) -> Response:
    """The policy in force, the form and the versions."""
    return _page(request, outside, caller)


@router.post("/projects/{key}/routing/preview")
def preview(
    request: Request,
    outside: Out,
    sent: FormData = _SENT,
    caller: Caller = require(Permission.ROUTING_PROPOSE),
) -> Response:
    """What the policy in the form would have done with the items predicted so far; nothing is saved."""
    return _answer(request, outside, caller, sent, save=False)


@router.post("/projects/{key}/routing")
def save(
    request: Request,
    outside: Out,
    sent: FormData = _SENT,
    caller: Caller = require(Permission.ROUTING_PROPOSE),
) -> Response:
    """A new version; put in force at once where the caller may and asked for it."""
    return _answer(request, outside, caller, sent, save=True)


def _answer(request: Request, outside: Outside, caller: Caller, sent: FormData, *, save: bool) -> Response:
    with outside.db.read() as session:
        labels, pools = _labels(session, caller), pool_names(session, caller.here.id, caller.projects)
        active = store.active_policy(session, caller.here.id)
    form = _read(sent, active.document if active else {})
    before = _text(sent, "threshold_before")
    try:
        document = document_of(form, before)
        policy = parse_policy(document, labels=labels, pools=pools)
    except PolicyInvalid as problem:
        place, words = error_place(problem, form.rules)
        return _page(request, outside, caller, form=form, threshold_before=before, errors={place: words})
    if save:
        return _save(request, outside, caller, document, form.note, activate=_text(sent, "activate") == "yes")
    with outside.db.read() as session:
        old: RoutingPolicy | None = parse_policy(active.document, labels=labels) if active else None
        comparison = compare(outside, session, caller.here.id, old, policy, labels)
    shown = replace(form_of(document), note=form.note)
    return _page(
        request, outside, caller, form=shown, threshold_before=shown.threshold, comparison=comparison
    )


def _save(
    request: Request,
    outside: Outside,
    caller: Caller,
    document: dict[str, Any],
    note: str,
    *,
    activate: bool,
) -> Response:
    activate = activate and caller.may(Permission.ROUTING_ACTIVATE)
    with outside.db.write(project=caller.here.id) as session:
        row = service.new_policy(
            session,
            caller.here.id,
            document,
            labels=_labels(session, caller),
            pools=list(pool_names(session, caller.here.id, caller.projects)),
            by=caller.email,
            now=outside.now(),
            note=note,
            activate=activate,
        )
        version, in_force = row.version, row.state == "active"
    words = (
        f"Version {version} is in force for items decided from now on."
        if in_force
        else f"Version {version} is saved as a draft; somebody who may activate policies can put it in force."
    )
    return redirect(request, f"/projects/{caller.here.key}/routing", notice=words)


@router.post("/projects/{key}/routing/{policy_id}/activate")
def activate(
    request: Request,
    outside: Out,
    policy_id: RowId,
    caller: Caller = require(Permission.ROUTING_ACTIVATE),
) -> Response:
    """Puts a version in force, a draft or an older one again."""
    with outside.db.write(project=caller.here.id) as session:
        row = service.activate_policy(session, caller.here.id, policy_id, by=caller.email, now=outside.now())
        version = row.version
    return redirect(
        request,
        f"/projects/{caller.here.key}/routing",
        notice=f"Version {version} is in force for items decided from now on.",
    )


def _text(sent: FormData, name: str) -> str:
    value = sent.get(name, "")
    return value if isinstance(value, str) else ""


def _read(sent: FormData, kept: dict[str, Any]) -> PolicyForm:
    lines = []
    for i in range(_MOST_RULES):
        if f"name-{i}" not in sent:
            break
        if _text(sent, f"remove-{i}"):
            continue
        lines.append(
            RuleLine(
                name=_text(sent, f"name-{i}"),
                when=_text(sent, f"when-{i}"),
                to=_text(sent, f"to-{i}") or "people",
                pool=_text(sent, f"pool-{i}"),
                stage=_text(sent, f"stage-{i}") or "label",
                overlap=_text(sent, f"overlap-{i}") or "1",
                show_suggestion=bool(_text(sent, f"show-{i}")),
                priority=_text(sent, f"priority-{i}") or "50",
            )
        )
    return PolicyForm(
        rules=tuple(lines),
        audit_percent=_text(sent, "audit_percent"),
        blind_percent=_text(sent, "blind_percent"),
        audit_overlap=_text(sent, "audit_overlap"),
        blind_overlap=_text(sent, "blind_overlap"),
        threshold=_text(sent, "threshold"),
        note=_text(sent, "note")[:1000],
        kept={"promise": kept["promise"]} if kept.get("promise") else {},
    )
