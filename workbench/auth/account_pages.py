"""Pages of one's own account: password, sessions, tokens, second factor, providers."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Form, Request
from starlette.responses import Response

from workbench.auth import provider_sign_in, second_factor, service, sessions, store, tokens
from workbench.auth.access import Caller, require
from workbench.auth.domain import ROLE_TITLES, Identity, Permission, browser_name, digest
from workbench.auth.identify import set_session_cookie
from workbench.errors import InvalidInput, NotAllowed, NotFound, WorkbenchError
from workbench.outside import Outside
from workbench.web.current import Out, RowId
from workbench.web.render import page, redirect
from workbench.web.senders import client_address

router = APIRouter()
Me = Annotated[Caller, require(Permission.ACCOUNT)]


def in_a_browser(caller: Caller) -> Identity:
    """The caller, who is signed in with a browser.

    Raises:
        NotAllowed: A token asks; an account is its owner's alone.
    """
    if not caller.known.session_secret:
        raise NotAllowed("a token cannot do this; sign in with a browser")
    return caller.known


@router.get("/account")
def account(request: Request, outside: Out, caller: Me) -> Response:
    """One's own sessions, tokens, second factor and password."""
    return _account(request, outside, caller)


def _account(
    request: Request,
    outside: Outside,
    caller: Caller,
    *,
    new_token: str = "",
    problem: str = "",
    token_problem: str = "",
    status: int = 200,
) -> Response:
    me = in_a_browser(caller)
    with outside.db.read() as session:
        user = store.find_user(session, me.user_id)
        context: dict[str, Any] = {
            "sessions": sessions.live_sessions(session, outside, me.user_id),
            "tokens": store.tokens_of(session, me.user_id),
            "grantable": sorted(tokens.permissions_of(session, me.user_id)),
            "enrolled": second_factor.is_enrolled(session, me.user_id),
            "codes_left": store.codes_left(session, me.user_id),
            "identities": store.identities_of(session, me.user_id),
            "has_password": bool(user.password_hash),
        }
    return page(
        request,
        "auth/account.html",
        status=status,
        caller=caller,
        held_back=caller.held_back,
        role_titles=ROLE_TITLES,
        browser_name=browser_name,
        this_session=digest(me.session_secret),
        new_token=new_token,
        problem=problem,
        token_problem=token_problem,
        doors=request.app.state.doors,
        longest_days=outside.settings.token_days_max,
        default_days=min(tokens.DEFAULT_DAYS, outside.settings.token_days_max),
        **context,
    )


@router.post("/account/password")
def change_password(
    request: Request,
    outside: Out,
    new: Annotated[str, Form(max_length=1000)],
    caller: Me,
    old: Annotated[str, Form(max_length=1000)] = "",
) -> Response:
    """Another password; every other session ends, and this one gets a new id."""
    me = in_a_browser(caller)
    try:
        secret = service.change_password(outside, me, old, new, address=client_address(request))
    except WorkbenchError as problem:
        return _account(request, outside, caller, problem=str(problem), status=problem.status)
    response = redirect(request, "/account", notice="The password is changed; other browsers are signed out.")
    set_session_cookie(response, outside, secret)
    return response


@router.post("/account/sessions/{session_id}/revoke")
def revoke_session(request: Request, outside: Out, session_id: str, caller: Me) -> Response:
    """Ends one of one's own sessions."""
    me = in_a_browser(caller)
    try:
        wanted = bytes.fromhex(session_id)
    except ValueError:
        raise NotFound("there is no such session of yours; it may have ended already") from None
    with outside.db.write() as session:
        sessions.end_sessions(session, outside, me.user_id, by=me.email, only=wanted)
    return redirect(request, "/account", notice="That browser is signed out.")


@router.post("/account/sessions/revoke-others")
def revoke_others(request: Request, outside: Out, caller: Me) -> Response:
    """Ends every session of one's own but this one."""
    me = in_a_browser(caller)
    with outside.db.write() as session:
        keep = digest(me.session_secret)
        sessions.end_sessions(session, outside, me.user_id, by=me.email, keep=keep)
    return redirect(request, "/account", notice="Every other browser is signed out.")


@router.post("/account/tokens")
def create_token(
    request: Request,
    outside: Out,
    name: Annotated[str, Form(max_length=200)],
    caller: Me,
    days: Annotated[int, Form(ge=1, le=36500)] = tokens.DEFAULT_DAYS,
    may: Annotated[Literal["all", "read", "chosen"], Form()] = "all",
    scopes: Annotated[list[str] | None, Form()] = None,
) -> Response:
    """A new token, shown this once."""
    me = in_a_browser(caller)
    try:
        with outside.db.write() as session:
            wanted = _scopes(may, scopes or [], tokens.permissions_of(session, me.user_id))
            token = tokens.create_token(
                session, outside, me.user_id, name=name, scopes=wanted, days=days, strong=me.strong
            )
    except WorkbenchError as problem:
        return _account(request, outside, caller, token_problem=str(problem), status=problem.status)
    return _account(request, outside, caller, new_token=token)


def _scopes(may: str, chosen: list[str], granted: frozenset[str]) -> list[str]:
    if may == "read":
        return [one for one in granted if one.endswith(".read")] + [Permission.ACCOUNT]
    if may == "chosen" and not chosen:
        raise InvalidInput("choose at least one thing that the token may do")
    return chosen if may == "chosen" else []


@router.post("/account/tokens/{token_id}/revoke")
def revoke_token(request: Request, outside: Out, token_id: RowId, caller: Me) -> Response:
    """Ends one of one's own tokens."""
    me = in_a_browser(caller)
    with outside.db.write() as session:
        tokens.revoke_token(session, outside, me.user_id, token_id)
    return redirect(request, "/account", notice="The token no longer works.")


@router.post("/account/tokens/revoke-all")
def revoke_all_tokens(request: Request, outside: Out, caller: Me) -> Response:
    """Ends all of one's own tokens."""
    me = in_a_browser(caller)
    with outside.db.write() as session:
        tokens.revoke_all(session, outside, me.user_id)
    return redirect(request, "/account", notice="None of your tokens works any more.")


@router.post("/account/identities/{identity_id}/remove")
def unlink(request: Request, outside: Out, identity_id: RowId, caller: Me) -> Response:
    """Takes a provider off one's own account."""
    me = in_a_browser(caller)
    with outside.db.write() as session:
        provider_sign_in.unlink(session, outside, me.user_id, identity_id, by=me.email)
    return redirect(request, "/account", notice="You can no longer sign in with that provider.")


@router.get("/account/second-factor")
def factor_page(request: Request, outside: Out, caller: Me) -> Response:
    """Where one sets up an authenticator app, or sees to it."""
    return _factor(request, outside, caller)


def _factor(
    request: Request,
    outside: Outside,
    caller: Caller,
    *,
    problem: str = "",
    codes: list[str] | None = None,
    status: int = 200,
) -> Response:
    me = in_a_browser(caller)
    with outside.db.read() as session:
        enrolled = second_factor.is_enrolled(session, me.user_id)
        waiting = second_factor.waiting(session, outside, me.user_id)
        left = store.codes_left(session, me.user_id)
        has_password = bool(store.find_user(session, me.user_id).password_hash)
    return page(
        request,
        "auth/second_factor.html",
        status=status,
        enrolled=enrolled,
        waiting=waiting,
        codes_left=left,
        codes=codes or [],
        problem=problem,
        has_password=has_password,
        held_back=caller.held_back and not codes,
        # Signing in again is all that is missing where the app was set up in another browser.
        strong=me.strong or bool(codes),
    )


@router.post("/account/second-factor/start")
def start_factor(
    request: Request,
    outside: Out,
    caller: Me,
    password: Annotated[str, Form(max_length=1000)] = "",
) -> Response:
    """A new QR code; the app counts once its first code was given."""
    me = in_a_browser(caller)
    try:
        service.confirm_password(outside, me.user_id, password, address=client_address(request))
        with outside.db.write() as session:
            second_factor.start(session, outside, me.user_id)
    except WorkbenchError as problem:
        return _factor(request, outside, caller, problem=str(problem), status=problem.status)
    return redirect(request, "/account/second-factor")


@router.post("/account/second-factor/confirm")
def confirm_factor(
    request: Request, outside: Out, code: Annotated[str, Form(max_length=100)], caller: Me
) -> Response:
    """The recovery codes, after the app's first right code; this session gets a new id."""
    me = in_a_browser(caller)
    try:
        codes = second_factor.confirm(outside, me.user_id, code)
    except WorkbenchError as problem:
        return _factor(request, outside, caller, problem=str(problem), status=problem.status)
    with outside.db.write() as session:
        secret = sessions.renew(session, outside, me, strong=True)
    response = _factor(request, outside, caller, codes=codes)
    set_session_cookie(response, outside, secret)
    return response


@router.post("/account/second-factor/codes")
def renew_codes(
    request: Request, outside: Out, code: Annotated[str, Form(max_length=100)], caller: Me
) -> Response:
    """New recovery codes; the old ones stop working."""
    me = in_a_browser(caller)
    try:
        second_factor.check(outside, me.user_id, code)
        with outside.db.write() as session:
            codes = second_factor.new_codes(session, outside, me.user_id)
    except WorkbenchError as problem:
        return _factor(request, outside, caller, problem=str(problem), status=problem.status)
    return _factor(request, outside, caller, codes=codes)


@router.post("/account/second-factor/remove")
def remove_factor(
    request: Request, outside: Out, code: Annotated[str, Form(max_length=100)], caller: Me
) -> Response:
    """Takes the second factor away."""
    me = in_a_browser(caller)
    try:
        second_factor.check(outside, me.user_id, code)
    except WorkbenchError as problem:
        return _factor(request, outside, caller, problem=str(problem), status=problem.status)
    with outside.db.write() as session:
        second_factor.remove(session, outside, me.user_id)
        secret = sessions.renew(session, outside, me, strong=False)
    response = redirect(request, "/account", notice="The second factor is removed.")
    set_session_cookie(response, outside, secret)
    return response
