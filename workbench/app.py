"""The web application: pages, JSON API, assets and health. Never loads a model."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from typing import Annotated

from fastapi import APIRouter, FastAPI, Request
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.responses import JSONResponse, Response

from integrations.oidc.errors import ProviderUnavailable
from integrations.oidc.interface import Fetch, Fetched
from workbench.auth import api as auth_api
from workbench.auth import pages as auth_pages
from workbench.auth.access import Caller, RoleTable, guarded_routes, public
from workbench.auth.identify import Identify
from workbench.auth.landing import landing_for
from workbench.auth.provider_sign_in import doors
from workbench.db.migrate import fits
from workbench.decisions import api as decisions_api
from workbench.decisions import pages as decisions_pages
from workbench.deliveries import api as deliveries_api
from workbench.deliveries import pages as deliveries_pages
from workbench.errors import Unavailable
from workbench.inbox.intake import Intake
from workbench.items import api as items_api
from workbench.items import pages as items_pages
from workbench.labeling import api as labeling_api
from workbench.labeling import pages as labeling_pages
from workbench.outside import Outside
from workbench.overview import api as overview_api
from workbench.overview import pages as overview_pages
from workbench.people import api as people_api
from workbench.people import pages as people_pages
from workbench.projects.store import project_with_key
from workbench.setup import api as setup_api
from workbench.setup import pages as setup_pages
from workbench.suppliers import api as suppliers_api
from workbench.suppliers import pages as suppliers_pages
from workbench.web.assets import Assets
from workbench.web.current import Out, ProjectRef
from workbench.web.description import described
from workbench.web.errors import add_error_handlers
from workbench.web.live import Stopping
from workbench.web.middleware import BodyLimit, Hosts, LastNet, Methods, SecurityHeaders, headers_of
from workbench.web.render import redirect

ROUTERS: dict[str, tuple[APIRouter, ...]] = {
    "auth": (auth_pages.router, auth_api.router),
    # Before every feature with pages under /projects/{key}: /projects/new is no project.
    "setup": (setup_pages.router, setup_api.router),
    "people": (people_pages.router, people_api.router),
    "items": (items_pages.router, items_api.router),
    "decisions": (decisions_pages.router, decisions_api.router),
    "labeling": (labeling_pages.router, labeling_api.router),
    "deliveries": (deliveries_pages.router, deliveries_api.router),
    "overview": (overview_pages.router, overview_api.router),
    "suppliers": (suppliers_pages.router, suppliers_api.router),
}
FEATURES = tuple(ROUTERS)
router = APIRouter()
Anybody = Annotated[Caller, public()]


def create_app(
    outside: Outside, *, features: Sequence[str] = FEATURES, fetch: Fetch | None = None
) -> FastAPI:
    """The application on this outside; refuses to be built while a route declares no permission.

    Args:
        outside: Settings, database, clock.
        features: Whose pages and API to include.
        fetch: How requests reach the providers that people sign in with (`adapters.provider_fetch`).
    """
    settings = outside.settings
    app = FastAPI(
        title="Annotation workbench",
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        lifespan=_lifespan,
        middleware=[
            Middleware(Intake, outside=outside, headers=headers_of(settings.secure_cookies)),
            Middleware(SecurityHeaders, strict_transport=settings.secure_cookies),
            Middleware(Hosts, settings=settings),
            Middleware(Methods),
            Middleware(GZipMiddleware, minimum_size=1000, compresslevel=5),
            Middleware(LastNet),
            Middleware(Identify),
            Middleware(BodyLimit, upload_mb=settings.max_upload_mb),
        ],
    )
    app.state.outside = outside
    app.state.assets = Assets(settings.data_dir)
    app.state.role_table = RoleTable()
    app.state.doors = doors(settings.sign_in_providers, fetch or _no_way_out)
    app.state.stopping = Stopping()
    app.state.find_project = _find_project
    add_error_handlers(app)
    app.mount("/assets", app.state.assets, name="assets")
    app.include_router(router)
    for feature_router in feature_routers(features):
        app.include_router(feature_router)
    guarded_routes(app)
    return app


def _no_way_out(
    url: str,  # noqa: ARG001 - the shape of a `Fetch`
    *,
    form: dict[str, str] | None = None,  # noqa: ARG001
    headers: dict[str, str] | None = None,  # noqa: ARG001
) -> Fetched:
    raise ProviderUnavailable("this process was started without a way to providers; use `workbench serve`")


def feature_routers(features: Sequence[str] = FEATURES) -> Iterator[APIRouter]:
    """The pages and the JSON API of each feature."""
    for feature in features:
        yield from ROUTERS[feature]


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    with app.state.stopping.listening():
        yield
    app.state.stopping.ask()


def _find_project(session: Session, key: str) -> ProjectRef | None:
    row = project_with_key(session, key)
    if row is None:
        return None
    return ProjectRef(row.id, row.key, row.title, row.state, row.time_zone, row.currency, row.due_at)


@router.get("/", include_in_schema=False)
def start(request: Request, caller: Anybody) -> Response:
    """The first page of whoever comes."""
    return redirect(request, "/sign-in" if caller.identity is None else landing_for(caller))


@router.get("/health", include_in_schema=False)
def live(caller: Anybody) -> dict[str, str]:  # noqa: ARG001 - the check is what is wanted
    """The process answers; asks nothing else."""
    return {"status": "live"}


@router.get("/health/ready", include_in_schema=False)
def ready(outside: Out, caller: Anybody) -> JSONResponse:  # noqa: ARG001 - the check is what is wanted
    """Whether requests can be served: the database answers with this release's schema.

    A Label Studio that is down does not count: pages, and everything that needs no people, go on.
    """
    try:
        with outside.db.read() as session:
            session.execute(text("SELECT count(*) FROM users"))
        detail = "" if fits(outside.db) else "the database is of another release; run `workbench db upgrade`"
    except (SQLAlchemyError, Unavailable) as problem:
        detail = (
            f"the database does not answer as expected ({type(problem).__name__}); run `workbench doctor`"
        )
    if detail:
        return JSONResponse({"status": "not ready", "database": detail}, 503)
    return JSONResponse({"status": "ready", "database": "ok"})


@router.get("/api/openapi.json", include_in_schema=False)
def openapi(request: Request, caller: Anybody) -> JSONResponse:  # noqa: ARG001 - the check is what is wanted
    """What the JSON API takes and gives, as OpenAPI."""
    return JSONResponse(described(request.app.openapi()))
