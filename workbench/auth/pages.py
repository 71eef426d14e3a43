"""Pages for signing in and out, with a password, a code or a provider."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Form, Request
from starlette.responses import RedirectResponse, Response

from integrations.oidc.errors import OidcError, ProviderUnavailable
from integrations.oidc.interface import Attempt
from workbench.auth import account_pages, provider_sign_in, second_factor, service, sessions, user_pages
from workbench.auth.access import Caller, public, require
from workbench.auth.domain import Permission, digest
from workbench.auth.entering import PENDING, PROVIDER, drop, enter, keep, kept
from workbench.auth.identify import cookie_name
from workbench.auth.landing import landing_for, safe_path
from workbench.auth.provider_sign_in import Door
from workbench.errors import NotAllowed, NotFound, NotSignedIn, WorkbenchError
from workbench.outside import Outside
from workbench.web.current import Out
from workbench.web.render import page, redirect
from workbench.web.senders import client_address

router = APIRouter()
router.include_router(account_pages.router)
router.include_router(user_pages.router)
Anybody = Annotated[Caller, public()]


@router.get("/sign-in")
def sign_in_page(
    request: Request,
    caller: Anybody,
    next: str = "",  # noqa: A002 - the name in the address
) -> Response:
    """The form for signing in, and a button for each provider."""
    if caller.identity is not None:
        return redirect(request, safe_path(next) or landing_for(caller))
    return _door(request, onward=safe_path(next))


def _door(
    request: Request,
    *,
    onward: str = "",
    email: str = "",
    problem: str = "",
    status: int = 200,
    wait_s: Any = None,
) -> Response:
    doors: dict[str, Door] = request.app.state.doors
    return page(
        request,
        "auth/sign_in.html",
        status=status,
        headers={"Retry-After": str(wait_s)} if wait_s is not None else None,
        email=email,
        next=onward,
        problem=problem,
        doors=doors,
    )


@router.post("/sign-in")
def sign_in(
    request: Request,
    outside: Out,
    email: Annotated[str, Form(max_length=254)],
    password: Annotated[str, Form(max_length=1000)],
    caller: Anybody,  # noqa: ARG001 - the check is what is wanted
    next: Annotated[str, Form()] = "",  # noqa: A002 - the name in the form
) -> Response:
    """A new session, or the question for a code; the session that the browser had ends."""
    onward = safe_path(next)
    try:
        proven = service.check_password(
            outside, email=email, password=password, address=client_address(request)
        )
    except WorkbenchError as problem:
        wait_s = getattr(problem, "retry_after_s", None)
        return _door(
            request, onward=onward, email=email, problem=str(problem), status=problem.status, wait_s=wait_s
        )
    return enter(
        request,
        outside,
        proven.user_id,
        how="password",
        failed_before=proven.failed_before,
        onward=onward or "/",
    )


@router.get("/sign-in/code")
def code_page(request: Request, outside: Out, caller: Anybody) -> Response:  # noqa: ARG001 - the check is what is wanted
    """The form for a code of the authenticator app."""
    try:
        kept(request, outside, PENDING)
    except NotSignedIn:
        return redirect(request, "/sign-in")
    return page(request, "auth/code.html", problem="")


@router.post("/sign-in/code")
def give_code(
    request: Request,
    outside: Out,
    code: Annotated[str, Form(max_length=100)],
    caller: Anybody,  # noqa: ARG001 - the check is what is wanted
) -> Response:
    """In, with a right code."""
    try:
        pending = kept(request, outside, PENDING)
    except NotSignedIn as late:
        return _door(request, problem=str(late), status=401)
    user_id = int(pending["user"])
    try:
        left = second_factor.check(outside, user_id, code)
    except WorkbenchError as problem:
        return page(request, "auth/code.html", status=problem.status, problem=str(problem))
    used_recovery = len(code.strip()) > len("000 000")
    words = f"That recovery code is used up; {left} are left." if used_recovery else ""
    return enter(
        request,
        outside,
        user_id,
        how=pending["how"],
        strong=True,
        failed_before=int(pending["failed"]),
        onward=safe_path(pending["onward"]) or "/",
        notice=words,
    )


@router.get("/sign-in/with/{name}")
def begin_with_provider(
    request: Request,
    outside: Out,
    name: str,
    caller: Anybody,
    next: str = "",  # noqa: A002 - the name in the address
    link: bool = False,
) -> Response:
    """Off to the provider, with something to bring back; `link`: for the account that is signed in."""
    door = _door_of(request, name)
    if link and request.headers.get("sec-fetch-site", "none") not in {"same-origin", "none"}:
        # Whoever is signed in at the provider in this browser would get into this account.
        raise NotAllowed("this link came from another site; link the provider on your account page")
    linked = caller.known.session_secret if link else ""
    try:
        address, attempt = door.provider.begin(f"{_own_address(request, outside)}/sign-in/with/{name}/back")
    except OidcError as problem:
        return _refused(request, problem)
    response = RedirectResponse(address, 303)
    values = {
        "provider": name,
        "state": attempt.state,
        "nonce": attempt.nonce,
        "verifier": attempt.verifier,
        "redirect_uri": attempt.redirect_uri,
        "onward": safe_path(next),
        "link": digest(linked).hex() if linked else "",
    }
    keep(response, outside, PROVIDER, values)
    return response


@router.get("/sign-in/with/{name}/back")
def back_from_provider(request: Request, outside: Out, name: str, caller: Anybody) -> Response:
    """In, where the provider vouches for somebody who may come in."""
    door = _door_of(request, name)
    try:
        response = _come_back(request, outside, door, caller)
    except (OidcError, WorkbenchError) as problem:
        response = _refused(request, problem)
    drop(response, outside, PROVIDER)
    return response


def _come_back(request: Request, outside: Outside, door: Door, caller: Caller) -> Response:
    values = kept(request, outside, PROVIDER)
    if values["provider"] != door.chosen.name:
        raise NotSignedIn("this answer is from another provider than the one you chose; start again")
    attempt = Attempt(
        state=values["state"],
        nonce=values["nonce"],
        verifier=values["verifier"],
        redirect_uri=values["redirect_uri"],
    )
    person = door.provider.finish(attempt, request.query_params, now=outside.now())
    if values["link"]:
        known = caller.known
        if digest(known.session_secret).hex() != values["link"]:
            raise NotSignedIn("linking was begun in another session; start again from your account page")
        with outside.db.write() as session:
            provider_sign_in.link_person(session, outside, door.chosen, person, known.user_id)
        return redirect(request, "/account", notice=f"You can sign in with {door.title} from now on.")
    with outside.db.write() as session:
        user_id = provider_sign_in.user_of_person(session, outside, door.chosen, person)
    strong = door.chosen.trust_as_second_factor
    onward = safe_path(values["onward"]) or "/"
    return enter(request, outside, user_id, how=door.chosen.name, strong=strong, onward=onward)


def _refused(request: Request, problem: Exception) -> Response:
    status = 503 if isinstance(problem, ProviderUnavailable) else getattr(problem, "status", 401)
    return _door(request, problem=str(problem), status=status)


def _door_of(request: Request, name: str) -> Door:
    found: Door | None = request.app.state.doors.get(name)
    if found is None:
        raise NotFound("there is no such provider here; go back to the page for signing in")
    return found


def _own_address(request: Request, outside: Outside) -> str:
    # The host of a request was checked against the names that are ours (`web.middleware.Hosts`).
    return outside.settings.public_url.rstrip("/") or str(request.base_url).rstrip("/")


@router.post("/sign-out")
def sign_out(
    request: Request, outside: Out, caller: Annotated[Caller, require(Permission.ACCOUNT)]
) -> Response:
    """Ends this session."""
    with outside.db.write() as session:
        sessions.close_session(session, outside, caller.user_id, caller.known.session_secret)
    response = redirect(request, "/sign-in", notice="You are signed out.")
    drop(response, outside, "wb_session")
    # Pages and pictures that a next person at this machine could find.
    response.headers["Clear-Site-Data"] = '"cache"'
    return response


@router.get("/reset/{token}")
def reset_page(request: Request, outside: Out, token: str, caller: Anybody) -> Response:  # noqa: ARG001 - the check is what is wanted
    """Where somebody with a link sets their password."""
    return _reset(request, outside, token)


def _reset(
    request: Request, outside: Outside, token: str, *, problem: str = "", status: int = 200
) -> Response:
    with outside.db.read() as session:
        email = service.email_of_link(session, outside, token)
    return page(request, "auth/reset.html", status=status, email=email, token=token, problem=problem)


@router.post("/reset/{token}")
def reset(
    request: Request,
    outside: Out,
    token: str,
    new: Annotated[str, Form(max_length=1000)],
    caller: Anybody,  # noqa: ARG001 - the check is what is wanted
) -> Response:
    """Sets the password; they sign in with it next."""
    try:
        service.reset_password(outside, token, new)
    except NotFound:
        raise
    except WorkbenchError as problem:
        return _reset(request, outside, token, problem=str(problem), status=problem.status)
    response = redirect(request, "/sign-in", notice="The password is set; sign in with it.")
    response.delete_cookie(
        cookie_name(outside), path="/", httponly=True, samesite="lax", secure=outside.settings.secure_cookies
    )
    return response
