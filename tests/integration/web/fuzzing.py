"""One installation with a bit of everything, and the requests that a machine makes up for each of its routes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import hypothesis
import requests
import schemathesis
from fastapi import FastAPI
from httpx import ASGITransport, AsyncClient, Response
from hypothesis import HealthCheck, Phase, given
from hypothesis import strategies as st
from schemathesis import APIOperation, Case, GenerationMode
from schemathesis.core.parameters import ParameterLocation
from schemathesis.core.result import Ok
from sqlalchemy import select

from integrations.label_studio.errors import LabelStudioUnavailable
from tests.integration.overview.plausible import plausible_project
from tests.integration.tenants import worlds
from workbench.app import create_app
from workbench.auth.access import guard_of, guarded_routes
from workbench.auth.domain import DEFAULT_ROLES, Permission, Role
from workbench.auth.leads import make_lead
from workbench.auth.service import create_user_hashed
from workbench.auth.tokens import create_token
from workbench.items.tables import ImportRow, ItemRow
from workbench.outside import Outside
from workbench.people.tables import SupplierRow
from workbench.web.description import described

KEY = "reviews"
BASE = "http://testserver"
HEADERS = {"Accept-Encoding": "identity"}
ANSWERS = {200, 201, 202, 204, 303, 400, 401, 403, 404, 405, 409, 413, 422, 429, 503}
"""503 says that Label Studio or the database does not answer; 500 would say that nobody thought of this."""


class Nowhere:
    """A Label Studio that does not answer."""

    def __getattr__(self, name: str) -> Callable[..., Any]:
        def call(*_: object, **__: object) -> Any:
            raise LabelStudioUnavailable("Label Studio does not answer")

        return call


_MADE_UP: dict[tuple[str, int], list[Case]] = {}
"""Making requests up takes longer than sending them: they are kept for the next installation."""


@dataclass
class Target:
    """One route, with requests made up for it.

    Attributes:
        permission: What it declares; None for everybody.
        cases: Requests, the same for every role; two of three are as described, the third is not.
    """

    operation: APIOperation
    permission: Permission | None
    cases: list[Case]

    def open_to(self, role: str) -> bool:
        """Whether the role may use it."""
        return self.permission is None or (bool(role) and self.permission in DEFAULT_ROLES[Role(role)])


class Installation:
    """The application with a project half way through, two suppliers, and a Label Studio that is away."""

    def __init__(self, outside: Outside, examples: int) -> None:
        worlds.build(outside)
        plausible_project(outside, n_items=24, key=KEY)
        self.outside = replace(outside, label_studio=lambda url, token: Nowhere())  # type: ignore[arg-type,return-value]
        self.app = create_app(self.outside)
        self.app.state.stopping.ask()  # live pages end at once
        self.targets = list(_targets(self.app, examples))
        with outside.db.read() as session:
            item = session.scalars(select(ItemRow.public_id).order_by(ItemRow.id.desc())).first()
            source = session.scalars(select(ImportRow.id).order_by(ImportRow.id.desc())).first()
        acme = worlds.ids("acme")
        self.ids = {
            "key": KEY, "public_id": str(item), "import_id": str(source), "policy_id": "1", "version_id": "1",
            "job_id": f"{KEY}-push", "server_id": "1", "incident_id": "1", "user_id": "1",
            **{name: acme[name] for name in ("supplier_id", "work_id", "lane_id", "person_id")},
        }  # fmt: skip
        """Values of path parameters that this database really has."""
        for target in self.targets:
            self._point_at_rows(target)

    def _point_at_rows(self, target: Target) -> None:
        """Most requests whose path is as described are about rows that are there; each is sent once."""
        different: dict[str, Case] = {}
        for number, case in enumerate(target.cases):
            part = case.meta.components.get(ParameterLocation.PATH) if case.meta else None
            as_described = part is None or part.mode is GenerationMode.POSITIVE
            if number % 4 != 3 and as_described:
                made_up = case.path_parameters or {}
                case.path_parameters = {name: self.ids.get(name, value) for name, value in made_up.items()}
            sent = (case.path_parameters, case.query, case.body, case.media_type, case.cookies, case.headers)
            different.setdefault(repr(sent), case)
        target.cases = list(different.values())

    def client(self) -> AsyncClient:
        """Talks to the application within one event loop; twice as fast as through a thread."""
        return AsyncClient(transport=ASGITransport(self.app), base_url=BASE)

    def bearer(self, role: str) -> dict[str, str]:
        """Of a new user each time: some routes end what they were called with."""
        if not role:
            return {}
        with self.outside.db.write() as session:
            name = self.outside.random_bytes(6).hex()
            user = create_user_hashed(
                session, self.outside, email=f"{name}@example.org", name=role, password_hash="", role=role
            )
            if role == Role.SUPPLIER_LEAD:
                supplier = session.scalars(select(SupplierRow).where(SupplierRow.key == "acme")).one()
                make_lead(session, self.outside, user.id, supplier.id)
            token = create_token(session, self.outside, user.id, name="fuzz")
        return {"Authorization": f"Bearer {token}"}


async def send(client: AsyncClient, case: Case, headers: dict[str, str]) -> Response:
    """The answer to a made-up request."""
    client.cookies.clear()
    asked = requests.Request(**case.as_transport_kwargs(base_url=BASE)).prepare()
    return await client.request(
        str(asked.method), str(asked.url), content=asked.body, headers={**asked.headers, **headers}
    )


def _targets(app: FastAPI, examples: int) -> Iterator[Target]:
    permissions = {
        (method, str(route.path)): guard.permission
        for route in guarded_routes(app)
        if (guard := guard_of(route)) is not None
        for method in route.methods or ()
    }
    for operation in _operations(app):
        kept = (operation.label, examples)
        if kept not in _MADE_UP:
            _MADE_UP[kept] = made_up(operation, examples)
        cases = _MADE_UP[kept]
        yield Target(operation, permissions[operation.method.upper(), operation.path], cases)


def made_up(operation: APIOperation, examples: int) -> list[Case]:
    """Requests for a route, the same ones each time."""
    as_described = operation.as_strategy(GenerationMode.POSITIVE)
    otherwise = operation.as_strategy(GenerationMode.NEGATIVE)
    can_be_wrong = any((operation.query, operation.body, operation.path_parameters))
    cases = st.one_of(as_described, as_described, otherwise) if can_be_wrong else as_described
    kept: list[Case] = []

    @hypothesis.seed(1)
    @hypothesis.settings(
        max_examples=examples,
        phases=[Phase.generate],
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(case=cases)
    def keep(case: Case) -> None:
        kept.append(case)

    keep()
    return kept


def _operations(app: FastAPI) -> Iterator[APIOperation]:
    """Of the JSON API as it is described, and of the pages, which no document describes."""
    whole = app.openapi()
    api = described(whole)
    pages = {**whole, "paths": {path: it for path, it in whole["paths"].items() if path not in api["paths"]}}
    for document in (api, pages):
        # Tokens are given with each request; generating other ones would say nothing of the route.
        open_to_all = {name: value for name, value in document.items() if name != "security"}
        schema = schemathesis.openapi.from_dict(open_to_all)
        schema.app = app
        for found in schema.get_all_operations():
            assert isinstance(found, Ok), found
            yield found.ok()
