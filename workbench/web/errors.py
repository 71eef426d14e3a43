"""Errors as people and programs read them: a page, or problem+json (RFC 9457); never a stack trace."""

from __future__ import annotations

import secrets
from http import HTTPStatus
from typing import Any
from urllib.parse import quote

import structlog
from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response

from integrations.errors import IntegrationError
from integrations.label_studio.errors import LabelStudioUnavailable
from models.errors import ModelError
from routing.errors import RoutingError
from workbench.errors import NotSignedIn, SecondFactorNeeded, WorkbenchError
from workbench.web.render import page

_log = structlog.get_logger("workbench.web")
_TITLES = {
    401: "Sign in first",
    403: "Not allowed",
    404: "Not found",
    405: "Not possible here",
    409: "This clashes with what is there",
    413: "Too large",
    422: "This cannot be used",
    429: "Too many tries",
    500: "Something broke here",
    503: "Not reachable right now",
}
_UNPROCESSABLE = 422
_SECRET_AFTER = ("/invitations/", "/reset/")


def add_error_handlers(app: FastAPI) -> None:
    """Every expected error becomes a clear answer; see also `middleware.LastNet`."""
    for kind in (WorkbenchError, IntegrationError, ModelError, RoutingError):
        app.add_exception_handler(kind, _expected)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(UnicodeEncodeError, _half_a_character)


def status_of(problem: Exception) -> int:
    """The HTTP status of an expected error."""
    if isinstance(problem, WorkbenchError):
        return problem.status
    return 503 if isinstance(problem, LabelStudioUnavailable) else _UNPROCESSABLE


def answer(request: Request, status: int, detail: str, **more: Any) -> Response:
    """The answer for one error: problem+json for programs and partial requests, else a page."""
    title = _TITLES.get(status) or HTTPStatus(status).phrase
    if _wants_json(request):
        body = {"type": "about:blank", "title": title, "status": status, "detail": detail, **more}
        return JSONResponse(body, status, media_type="application/problem+json")
    return page(request, "web/error.html", status=status, title=title, detail=detail)


def answer_failure(request: Request, problem: Exception) -> Response:
    """The answer for what nobody expected; it is logged under the number the person is told."""
    if isinstance(problem, WorkbenchError):
        return _expected(request, problem)  # Before any route: the database is away, say.
    number = secrets.token_hex(4)
    _log.error(
        "request failed", failure=number, method=request.method, path=_shown_path(request), exc_info=problem
    )
    words = (
        f"Something broke here; it is logged under {number}. "
        "Trying again may help; if not, tell your admin the number."
    )
    try:
        return answer(request, 500, words, failure=number)
    except Exception:  # noqa: BLE001 - the error page itself may be what is broken
        return Response(words, 500, media_type="text/plain")


def _shown_path(request: Request) -> str:
    """The path without the secret of a link."""
    found = next((mark for mark in _SECRET_AFTER if request.url.path.startswith(mark)), None)
    return request.url.path if found is None else found + "…"


def _wants_json(request: Request) -> bool:
    return request.url.path.startswith(("/api/", "/health")) or "HX-Request" in request.headers


def _expected(request: Request, problem: Exception) -> Response:
    status = status_of(problem)
    if isinstance(problem, NotSignedIn) and not request.url.path.startswith("/api/"):
        return _to_sign_in(request)
    if isinstance(problem, SecondFactorNeeded) and not _wants_json(request):
        return RedirectResponse("/account/second-factor", 303)
    response = answer(request, status, str(problem) or _TITLES.get(status, ""))
    wait_s = getattr(problem, "retry_after_s", None)
    if wait_s is not None:
        response.headers["Retry-After"] = str(wait_s)
    return response


def _to_sign_in(request: Request) -> Response:
    here = request.url.path + (f"?{request.url.query}" if request.url.query else "")
    back = f"?next={quote(here)}" if request.method == "GET" and here != "/" else ""
    if "HX-Request" in request.headers:
        return Response(status_code=401, headers={"HX-Redirect": "/sign-in"})
    return RedirectResponse(f"/sign-in{back}", 303)


def _invalid(request: Request, problem: Exception) -> Response:
    errors = problem.errors() if isinstance(problem, RequestValidationError) else []
    # Only places and reasons: what was sent may hold a password or an item's text.
    found = [
        {"where": ".".join(str(part) for part in error["loc"] if part != "body"), "what": error["msg"]}
        for error in errors
    ]
    detail = "; ".join(f"{one['where'] or 'request'}: {one['what']}" for one in found)
    return answer(request, _UNPROCESSABLE, detail or "the request cannot be read", errors=found)


def _half_a_character(request: Request, problem: Exception) -> Response:  # noqa: ARG001 - it holds the text
    """JSON can spell half of a surrogate pair, which is no text: no database, file or address takes it."""
    return answer(
        request,
        _UNPROCESSABLE,
        "a text holds half a character (a lone surrogate); take it out and send it again",
    )


def _http(request: Request, problem: Exception) -> Response:
    assert isinstance(problem, HTTPException)
    detail = problem.detail
    if detail == HTTPStatus(problem.status_code).phrase:
        detail = {
            404: "There is no such page, or it is not yours to see.",
            405: "This address does not take that kind of request.",
        }.get(problem.status_code, detail)
    response = answer(request, problem.status_code, detail)
    for name, value in (problem.headers or {}).items():
        response.headers[name] = value
    return response
