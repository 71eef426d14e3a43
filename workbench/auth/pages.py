"""Pages for signing in and out, one's own account, and users."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Form, Request
from starlette.responses import Response

from workbench.auth import service, store
from workbench.auth.access import Caller, public, require
from workbench.auth.domain import ROLE_TITLES, Permission, Role, browser_name, digest
from workbench.auth.identify import cookie_name, set_session_cookie
from workbench.auth.landing import landing_for, safe_path
from workbench.errors import NotFound, WorkbenchError
from workbench.web.current import Out, RowId
from workbench.web.render import page, redirect

router = APIRouter()


@router.get("/sign-in")
def sign_in_page(
    request: Request,
    next: str = "",  # noqa: A002 - the name in the address
    caller: Caller = public(),
) -> Response:
    """The form for signing in."""
    if caller.identity is not None:
        return redirect(request, safe_path(next) or landing_for(caller))
    return page(request, "auth/sign_in.html", email="", next=safe_path(next), problem="")


@router.post("/sign-in")
def sign_in(
    request: Request,
    outside: Out,
    email: Annotated[str, Form()],
    password: Annotated[str, Form()],
    next: Annotated[str, Form()] = "",  # noqa: A002 - the name in the form
    caller: Caller = public(),
) -> Response:
    """A new session; the one that the browser had ends."""
    address = request.client.host if request.client else ""
    try:
        secret = service.sign_in(
            outside,
            request.app.state.throttles,
            email=email,
            password=password,
            address=address,
            browser=request.headers.get("user-agent", ""),
        )
    except WorkbenchError as problem:
        return page(
            request,
            "auth/sign_in.html",
            status=problem.status,
            email=email,
            next=safe_path(next),
            problem=str(problem),
        )
    if caller.identity is not None:
        with outside.db.write() as session:
            service.close_session(session, outside, caller.user_id, caller.known.session_secret)
    response = redirect(request, safe_path(next) or "/")
    set_session_cookie(response, outside, secret)
    return response


@router.post("/sign-out")
def sign_out(request: Request, outside: Out, caller: Caller = require(Permission.ACCOUNT)) -> Response:
    """Ends this session."""
    with outside.db.write() as session:
        service.close_session(session, outside, caller.user_id, caller.known.session_secret)
    response = redirect(request, "/sign-in", notice="You are signed out.")
    response.delete_cookie(
        cookie_name(outside), path="/", secure=outside.settings.secure_cookies, httponly=True
    )
    return response


@router.get("/account")
def account(request: Request, outside: Out, caller: Caller = require(Permission.ACCOUNT)) -> Response:
    """One's own sessions, tokens and password."""
    return _account(request, outside, caller)


def _account(
    request: Request,
    outside: Out,
    caller: Caller,
    *,
    new_token: str = "",
    problem: str = "",
    status: int = 200,
) -> Response:
    with outside.db.read() as session:
        sessions = store.live_sessions(session, caller.user_id, outside.now())
        tokens = store.tokens_of(session, caller.user_id)
    return page(
        request,
        "auth/account.html",
        status=status,
        caller=caller,
        role_titles=ROLE_TITLES,
        sessions=sessions,
        browser_name=browser_name,
        this_session=digest(caller.known.session_secret),
        tokens=tokens,
        new_token=new_token,
        problem=problem,
    )


@router.post("/account/password")
def change_password(
    request: Request,
    outside: Out,
    old: Annotated[str, Form()],
    new: Annotated[str, Form()],
    caller: Caller = require(Permission.ACCOUNT),
) -> Response:
    """Another password; every other session ends."""
    try:
        service.change_password(outside, caller.user_id, old, new, keep=caller.known.session_secret)
    except WorkbenchError as problem:
        return _account(request, outside, caller, problem=str(problem), status=problem.status)
    return redirect(request, "/account", notice="The password is changed; other browsers are signed out.")


@router.post("/account/sessions/{session_id}/revoke")
def revoke_session(
    request: Request, outside: Out, session_id: str, caller: Caller = require(Permission.ACCOUNT)
) -> Response:
    """Ends one of one's own sessions."""
    try:
        wanted = bytes.fromhex(session_id)
    except ValueError:
        raise NotFound("there is no such session of yours") from None
    with outside.db.write() as session:
        store.revoke_sessions(session, caller.user_id, outside.now(), only=wanted)
    return redirect(request, "/account", notice="That browser is signed out.")


@router.post("/account/tokens")
def create_token(
    request: Request,
    outside: Out,
    name: Annotated[str, Form()],
    days: Annotated[int, Form(ge=1, le=3650)] = 90,
    reading: Annotated[str, Form()] = "",
    caller: Caller = require(Permission.ACCOUNT),
) -> Response:
    """A new token, shown this once."""
    scopes = [str(one) for one in Permission if one.endswith(".read")] if reading else None
    with outside.db.write() as session:
        token = service.create_token(session, outside, caller.user_id, name=name, scopes=scopes, days=days)
    return _account(request, outside, caller, new_token=token)


@router.post("/account/tokens/{token_id}/revoke")
def revoke_token(
    request: Request, outside: Out, token_id: RowId, caller: Caller = require(Permission.ACCOUNT)
) -> Response:
    """Ends one of one's own tokens."""
    with outside.db.write() as session:
        store.revoke_token(session, caller.user_id, token_id, outside.now())
    return redirect(request, "/account", notice="The token no longer works.")


@router.get("/users")
def users(request: Request, outside: Out, caller: Caller = require(Permission.USERS_EDIT)) -> Response:
    """Everybody who signs in here."""
    return _users(request, outside, caller)


def _users(
    request: Request,
    outside: Out,
    caller: Caller,
    *,
    problem: str = "",
    given: dict[str, str] | None = None,
    status: int = 200,
) -> Response:
    with outside.db.read() as session:
        found = store.users(session)
        roles = store.all_roles(session)
    return page(
        request,
        "auth/users.html",
        status=status,
        users=found,
        roles=roles,
        role_titles=ROLE_TITLES,
        me=caller.user_id,
        problem=problem,
        given=given or {},
    )


@router.post("/users")
def create_user(
    request: Request,
    outside: Out,
    email: Annotated[str, Form()],
    name: Annotated[str, Form()],
    password: Annotated[str, Form()],
    role: Annotated[str, Form()] = Role.VIEWER,
    caller: Caller = require(Permission.USERS_EDIT),
) -> Response:
    """A new user."""
    try:
        hashed = service.password_hash_of(password)
        with outside.db.write() as session:
            service.create_user_hashed(
                session, outside, email=email, name=name, password_hash=hashed, role=role
            )
    except WorkbenchError as problem:
        given = {"email": email, "name": name, "role": role}
        return _users(request, outside, caller, problem=str(problem), given=given, status=problem.status)
    return redirect(request, "/users", notice=f"{email} can sign in now; tell them the password yourself.")


@router.post("/users/{user_id}/role")
def change_role(
    request: Request,
    outside: Out,
    user_id: RowId,
    role: Annotated[str, Form()],
    caller: Caller = require(Permission.USERS_EDIT),  # noqa: ARG001 - the check is what is wanted
) -> Response:
    """Another role everywhere."""
    with outside.db.write() as session:
        service.change_role(session, outside, user_id, role)
    return redirect(request, "/users", notice="The role is changed.")


@router.post("/users/{user_id}/active")
def set_active(
    request: Request,
    outside: Out,
    user_id: RowId,
    active: Annotated[bool, Form()],
    caller: Caller = require(Permission.USERS_EDIT),  # noqa: ARG001 - the check is what is wanted
) -> Response:
    """Lets a user in again, or ends their access."""
    with outside.db.write() as session:
        service.set_active(session, outside, user_id, active=active)
    words = "They can sign in again." if active else "They can no longer sign in; their sessions ended."
    return redirect(request, "/users", notice=words)
