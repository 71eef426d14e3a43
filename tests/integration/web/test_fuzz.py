"""Every route and every role, with requests that a machine makes up: an answer with a sentence, never a failure.

`FUZZ_EXAMPLES=500` makes it long (`make chaos` does); a failing request is printed as a curl command.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from http import HTTPStatus

import pytest
from httpx import Response
from schemathesis import Case
from schemathesis.specs.openapi.checks import (
    allow_header_conformance,
    content_type_conformance,
    negative_data_rejection,
    response_schema_conformance,
    status_code_conformance,
)

from tests.factories import NOW
from tests.integration.web.fuzzing import ANSWERS, HEADERS, Installation, send
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


@pytest.fixture(scope="module")
def installation(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    """One for all roles: building it takes longer than a role's requests to ten routes."""
    from workbench.db.tables import all_tables

    settings = load_settings(data_dir=tmp_path_factory.mktemp("fuzz"), database_url="")
    outside = outside_of(settings, label_studio=lambda url, token: None, now=lambda: NOW)  # type: ignore[arg-type,return-value]
    all_tables().create_all(outside.db.writer)
    yield Installation(outside, EXAMPLES)
    outside.db.close()


@pytest.mark.parametrize("role", ["", *sorted(Role, key=lambda role: role == Role.ADMIN)])
def test_every_route_answers_whatever_comes(installation: Installation, role: str) -> None:
    _throw_at_all(installation, role, EXAMPLES)


@pytest.mark.database("postgresql")
def test_postgresql_answers_too(outside: Outside) -> None:
    """What SQLite takes and PostgreSQL does not: zero bytes, numbers and texts too long, texts as numbers."""
    _throw_at_all(Installation(outside, EXAMPLES), Role.ADMIN, max(3, EXAMPLES // 8))


def _throw_at_all(there: Installation, role: str, examples: int) -> None:
    assert asyncio.run(_all_answers(there, role, examples)) == []


async def _all_answers(there: Installation, role: str, examples: int) -> list[str]:
    """What is wrong, of all routes: one failure must not hide the others."""
    wrong: list[str] = []
    headers = HEADERS | there.bearer(role)
    async with there.client() as client:
        for target in there.targets:
            signed_out = False
            for case in target.cases[: examples if target.open_to(role) else min(FEW, examples)]:
                answer = await send(client, case, headers)
                signed_out = signed_out or answer.status_code == HTTPStatus.UNAUTHORIZED
                wrong += _wrong_with(case, answer, headers)
            if signed_out and role:
                headers = HEADERS | there.bearer(role)
    return wrong


def _wrong_with(case: Case, answer: Response, headers: dict[str, str]) -> list[str]:
    if answer.status_code not in ANSWERS or b"Traceback" in answer.content:
        return [f"{answer.status_code}: {case.as_curl_command()}\n{answer.text[:500]}"]
    if case.operation.path.startswith("/api/"):
        try:
            case.validate_response(answer, checks=API_CHECKS, headers=headers)
        except (AssertionError, BaseExceptionGroup) as problem:
            parts = problem.exceptions if isinstance(problem, BaseExceptionGroup) else [problem]
            return [f"{case.operation.label}: {str(part)[:1200]}" for part in parts]
    return []
