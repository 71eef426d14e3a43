"""Pages on which an admin sees to everybody's access."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Form, Request
from sqlalchemy.orm import Session
from starlette.responses import Response

from workbench.auth import second_factor, service, sessions, store, tokens
from workbench.auth.access import Caller, require
from workbench.auth.domain import ASSIGNABLE, Permission, Role, digest
from workbench.auth.identify import set_session_cookie
from workbench.errors import NotAllowed, WorkbenchError
from workbench.outside import Outside
from workbench.web.current import Out, RowId
from workbench.web.render import page, redirect

router = APIRouter()
Admin = Annotated[Caller, require(Permission.USERS_EDIT)]


@router.get("/users")
def users(request: Request, outside: Out, caller: Admin) -> Response:
    """Everybody who signs in here."""
    return _users(request, outside, caller)


def _users(
    request: Request,
    outside: Outside,
    caller: Caller,
    *,
    problem: str = "",
    given: dict[str, str] | None = None,
    link: tuple[str, str] | None = None,
    status: int = 200,
) -> Response:
    with outside.db.read() as session:
        found = store.users(session)
        roles = store.all_roles(session)
        enrolled = store.enrolled(session)
        linked = store.providers_by_user(session)
    return page(
        request,
        "auth/users.html",
        status=status,
        users=found,
        roles=roles,
        enrolled=enrolled,
        linked=linked,
        role_titles=ASSIGNABLE,
        me=caller.user_id,
        problem=problem,
        given=given or {},
        link=link,
    )


@router.post("/users")
def create_user(
    request: Request,
    outside: Out,
    email: Annotated[str, Form(max_length=254)],
    name: Annotated[str, Form(max_length=200)],
    caller: Admin,
    password: Annotated[str, Form(max_length=1000)] = "",
    role: Annotated[str, Form()] = Role.VIEWER,
) -> Response:
    """A new user; without a password, a link with which they set one."""
    try:
        hashed = service.password_hash_of(password, about=email) if password else ""
        with outside.db.write() as session:
            user = service.create_user_hashed(
                session, outside, email=email, name=name, password_hash=hashed, role=role, by=caller.email
            )
            token = "" if password else _link(session, outside, user.id, caller, invited=True)
    except WorkbenchError as problem:
        given = {"email": email, "name": name, "role": role}
        return _users(request, outside, caller, problem=str(problem), given=given, status=problem.status)
    if token:
        return _users(request, outside, caller, link=(user.email, _address(request, outside, token)))
    return redirect(request, "/users", notice=f"{email} can sign in now; tell them the password yourself.")


def _link(session: Session, outside: Outside, user_id: int, caller: Caller, *, invited: bool) -> str:
    return service.make_reset_link(session, outside, user_id, by=caller.email, invited=invited)


def _address(request: Request, outside: Outside, token: str) -> str:
    base = outside.settings.public_url.rstrip("/") or str(request.base_url).rstrip("/")
    return f"{base}/reset/{token}"


@router.post("/users/{user_id}/role")
def change_role(
    request: Request, outside: Out, user_id: RowId, role: Annotated[str, Form()], caller: Admin
) -> Response:
    """Another role everywhere; they sign in again."""
    me = caller.known
    mine = user_id == me.user_id and bool(me.session_secret)
    with outside.db.write() as session:
        keep = digest(me.session_secret) if mine else None
        service.change_role(session, outside, user_id, role, by=caller.email, keep=keep)
        secret = sessions.renew(session, outside, me) if mine else ""
    response = redirect(request, "/users", notice="The role is changed; they sign in again.")
    if secret:
        set_session_cookie(response, outside, secret)
    return response


@router.post("/users/{user_id}/active")
def set_active(
    request: Request, outside: Out, user_id: RowId, active: Annotated[bool, Form()], caller: Admin
) -> Response:
    """Lets a user in again, or ends their access."""
    with outside.db.write() as session:
        service.set_active(session, outside, user_id, active=active, by=caller.email)
    words = "They can sign in again." if active else "They can no longer sign in; their sessions ended."
    return redirect(request, "/users", notice=words)


@router.post("/users/{user_id}/sessions/end")
def end_sessions(request: Request, outside: Out, user_id: RowId, caller: Admin) -> Response:
    """Signs a user out everywhere."""
    with outside.db.write() as session:
        store.find_user(session, user_id)
        ended = sessions.end_sessions(session, outside, user_id, by=caller.email)
    words = f"Signed out of {ended} browser{'' if ended == 1 else 's'}."
    return redirect(request, "/users", notice=words)


@router.post("/users/{user_id}/tokens/revoke")
def revoke_tokens(request: Request, outside: Out, user_id: RowId, caller: Admin) -> Response:
    """Ends every token of a user."""
    with outside.db.write() as session:
        store.find_user(session, user_id)
        ended = tokens.revoke_all(session, outside, user_id, by=caller.email)
    return redirect(request, "/users", notice=f"{ended} of their tokens ended.")


@router.post("/users/{user_id}/reset-link")
def reset_link(request: Request, outside: Out, user_id: RowId, caller: Admin) -> Response:
    """A link with which a user sets a password, shown this once."""
    with outside.db.write() as session:
        email = store.find_user(session, user_id).email
        token = _link(session, outside, user_id, caller, invited=False)
    return _users(request, outside, caller, link=(email, _address(request, outside, token)))


@router.post("/users/{user_id}/second-factor/reset")
def reset_factor(request: Request, outside: Out, user_id: RowId, caller: Admin) -> Response:
    """Takes the second factor off somebody who lost it; they are signed out everywhere."""
    if user_id == caller.user_id:
        raise NotAllowed("another admin has to do this for you; your own is removed on your account page")
    with outside.db.write() as session:
        store.find_user(session, user_id)
        second_factor.remove(session, outside, user_id, by=caller.email)
        sessions.end_sessions(session, outside, user_id, by=caller.email)
    return redirect(request, "/users", notice="Their second factor is removed; they set up another one.")
