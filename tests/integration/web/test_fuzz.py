"""Every route and every role, with requests that a machine makes up: an answer with a sentence, never a failure.

`FUZZ_EXAMPLES=500` makes it long (`make chaos` does); a failing request is printed as a curl command.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

import hypothesis
import pytest
from hypothesis import HealthCheck, Phase, given
from hypothesis import strategies as st
from schemathesis import Case, GenerationMode
from schemathesis.core.parameters import ParameterLocation
from schemathesis.specs.openapi.checks import (
    allow_header_conformance,
    content_type_conformance,
    negative_data_rejection,
    response_schema_conformance,
    status_code_conformance,
)

from tests.factories import NOW
from tests.integration.web.fuzzing import ANSWERS, Installation, Target
from workbench.auth.domain import Role
from workbench.outside import Outside, outside_of
from workbench.settings import load_settings

EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "25"))
FEW = max(2, EXAMPLES // 10)
"""For routes that a role may not use: all are refused in the same place."""
API_CHECKS = [
    content_type_conformance, response_schema_conformance, status_code_conformance,
    allow_header_conformance, negative_data_rejection,
]  # fmt: skip
HEADERS = {"Accept-Encoding": "identity"}


@pytest.fixture(scope="module")
def installation(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    """One for all roles: building it takes longer than a role's requests to ten routes."""
    from workbench.db.tables import all_tables

    settings = load_settings(data_dir=tmp_path_factory.mktemp("fuzz"), database_url="")
    outside = outside_of(settings, label_studio=lambda url, token: None, now=lambda: NOW)  # type: ignore[arg-type,return-value]
    all_tables().create_all(outside.db.writer)
    yield Installation(outside)
    outside.db.close()


@pytest.mark.parametrize("role", ["", *sorted(Role, key=lambda role: role == Role.ADMIN)])
def test_every_route_answers_whatever_comes(installation: Installation, role: str) -> None:
    _throw_at_all(installation, role, EXAMPLES)


@pytest.mark.database("postgresql")
def test_postgresql_answers_too(outside: Outside) -> None:
    """What SQLite takes and PostgreSQL does not: zero bytes, numbers and texts too long, texts as numbers."""
    _throw_at_all(Installation(outside), Role.ADMIN, max(3, EXAMPLES // 8))


def _throw_at_all(there: Installation, role: str, examples: int) -> None:
    failures = []
    for target in there.targets:
        try:
            _throw(there, target, role, examples if target.open_to(role) else min(FEW, examples))
        except (AssertionError, BaseExceptionGroup) as problem:  # all of them at once, not the first alone
            failures.append(f"{target.operation.label}: {_short(problem)}")
    assert failures == [], "\n\n".join(failures)


def _path_is_as_described(case: Case) -> bool:
    part = case.meta.components.get(ParameterLocation.PATH) if case.meta else None
    return part is None or part.mode is GenerationMode.POSITIVE


def _short(problem: BaseException) -> str:
    parts = problem.exceptions if isinstance(problem, BaseExceptionGroup) else [problem]
    return "\n".join(str(part)[:1200] for part in parts)


def _throw(there: Installation, target: Target, role: str, examples: int) -> None:
    headers = {**HEADERS, **there.bearer(role)}
    api = target.operation.path.startswith("/api/")

    @hypothesis.seed(1)
    @hypothesis.settings(
        max_examples=examples,
        phases=[Phase.explicit, Phase.generate],
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(case=target.cases, really=st.sampled_from([True, True, True, False]))
    def one(case: Case, really: bool) -> None:
        if really and _path_is_as_described(case):
            given_parts = case.path_parameters or {}
            case.path_parameters = {name: there.ids.get(name, value) for name, value in given_parts.items()}
        response = case.call(headers=headers)
        assert response.status_code in ANSWERS, (case.as_curl_command(), response.text[:500])
        if api:
            case.validate_response(response, checks=API_CHECKS, headers=headers)
        else:
            assert "Traceback" not in response.text

    one()
