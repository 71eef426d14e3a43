"""Pages from templates: `page(request, "feature/name.html", **context)`."""

from __future__ import annotations

import json
import secrets
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote, urlencode

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from workbench.incidents.store import count_bad
from workbench.web import filters
from workbench.web.current import project_of, rendering, request_now, user_of
from workbench.web.navigation import Group
from workbench.web.navigation import navigation as navigation_of

NOTICE_COOKIE = "wb_notice"
THEME_COOKIE = "wb_theme"
_LOGO = Markup(
    '<svg viewBox="0 0 20 20" fill="none" stroke="currentColor" stroke-width="2.4" stroke-linecap="round" '
    'stroke-linejoin="round" aria-hidden="true"><path d="M2.5 4.5 6 15.5l4-8 4 8 3.5-11"/></svg>'
)


def page(
    request: Request,
    template: str,
    *,
    status: int = 200,
    headers: dict[str, str] | None = None,
    **context: Any,
) -> HTMLResponse:
    """The rendered template; its variables are `request`, `context` and the globals named in this module."""
    token = rendering.set(request)
    try:
        body = templates().get_template(template).render(request=request, **context)
    finally:
        rendering.reset(token)
    response = HTMLResponse(body, status, headers)
    if NOTICE_COOKIE in request.cookies and "HX-Request" not in request.headers:
        secure = request.app.state.outside.settings.secure_cookies
        response.delete_cookie(NOTICE_COOKIE, httponly=True, samesite="lax", secure=secure)
    return response


def redirect(request: Request, address: str, *, notice: str = "") -> Response:
    """Sends the browser to another of our pages, which shows `notice` once at its top."""
    response: Response
    if "HX-Request" in request.headers:
        response = Response(status_code=204, headers={"HX-Redirect": address})
    else:
        response = RedirectResponse(address, 303)
    if notice:
        secure = request.app.state.outside.settings.secure_cookies
        response.set_cookie(
            NOTICE_COOKIE, quote(notice), max_age=30, httponly=True, samesite="lax", secure=secure
        )
    return response


@cache
def templates() -> Environment:
    """The templates of all features, under their feature's name."""
    root = Path(__file__).resolve().parent.parent
    environment = Environment(
        loader=FileSystemLoader(sorted(root.glob("*/templates"))),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals.update(
        asset=_asset,
        user=_user,
        project=_project,
        may=_may,
        theme=_theme,
        notice=_notice,
        navigation=_navigation,
        alarms=_alarms,
        logo=lambda: _LOGO,
        csrf_field=_csrf_field,
        csp_nonce=_csp_nonce,
        request_headers=_request_headers,
        with_query=_with_query,
        fresh_id=_fresh_id,
        now=_now,
        spark_paths=filters.spark_paths,
        chart_table=filters.chart_table,
    )
    environment.filters.update(
        number=filters.number,
        percent=filters.percent,
        money=_money,
        duration=filters.duration,
        ago=_ago,
        local=_local,
        estimate=filters.estimate,
        plural=filters.plural,
        tone=filters.tone,
        words=filters.words,
    )
    return environment


def _asset(name: str) -> str:
    url: str = request_now().app.state.assets.url(name)
    return url


def _user() -> Any:
    return user_of(request_now())


def _project() -> Any:
    return project_of(request_now())


def _may(permission: str) -> bool:
    user = user_of(request_now())
    return user is not None and user.may(permission)


def _navigation() -> list[Group]:
    return navigation_of(request_now())


def _alarms() -> int:
    """How many incidents call for a person, among those that this person may know of."""
    request = request_now()
    user = user_of(request)
    if user is None or "HX-Request" in request.headers or not user.may("operations.read"):
        return 0
    # Whoever has a role in some projects alone sees the page of none but theirs.
    projects = getattr(user, "projects", None)
    with request.app.state.outside.db.read() as session:
        return count_bad(session, projects=projects)


def _theme() -> str:
    chosen = request_now().cookies.get(THEME_COOKIE, "")
    return chosen if chosen in {"light", "dark"} else ""


def _notice() -> str:
    return unquote(request_now().cookies.get(NOTICE_COOKIE, ""))


def _csrf_token() -> str:
    make = getattr(request_now().state, "csrf_token", None)
    return make() if make is not None else ""


def _csp_nonce() -> str:
    """What a script element has to carry to run; another one for every answer."""
    nonce: str = getattr(request_now().state, "csp_nonce", "")
    return nonce


def _csrf_field() -> Markup:
    return Markup('<input type="hidden" name="csrf_token" value="{}">').format(_csrf_token())


def _request_headers() -> str:
    token = _csrf_token()
    return json.dumps({"X-CSRF-Token": token} if token else {})


def _with_query(**changes: Any) -> str:
    """This page's address with some query values changed; None takes one away."""
    request = request_now()
    query = dict(request.query_params)
    for name, value in changes.items():
        query.pop(name, None)
        if value is not None and value != "":
            query[name] = str(value)
    return request.url.path + (f"?{urlencode(query)}" if query else "")


def _fresh_id(prefix: str) -> str:
    # By chance: a counter would tell everybody how many pages others look at.
    return f"{prefix}-{secrets.token_hex(4)}"


def _now() -> datetime:
    now: datetime = request_now().app.state.outside.now()
    return now


def _ago(value: datetime | None) -> Markup:
    if value is None:
        return Markup("never")
    return Markup('<time datetime="{}" title="{}">{}</time>').format(
        value.isoformat(), filters.local(value, _zone()), filters.ago(value, _now())
    )


def _local(value: datetime | None, form: str = "%d %b %Y %H:%M", zone: str = "") -> Markup:
    if value is None:
        return Markup("&ndash;")
    zone = zone or _zone()
    return Markup('<time datetime="{}" title="{}">{}</time>').format(
        value.isoformat(), zone, filters.local(value, zone, form)
    )


def _zone() -> str:
    project = project_of(request_now())
    return project.time_zone if project is not None else "UTC"


def _money(value: filters.Number | None, currency: str = "", digits: int | None = None) -> str:
    if not currency:
        project = project_of(request_now())
        currency = project.currency if project is not None else "USD"
    return filters.money(value, currency, digits)
