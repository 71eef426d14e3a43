"""Texts that would mean something to a database, a template, a file system or a header: they stay texts."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest
from schemathesis import Case

from tests.integration.web.fuzzing import ANSWERS, HEADERS, Installation, Target, send
from workbench.auth.domain import Role
from workbench.auth.tables import UserRow
from workbench.outside import Outside

EVALUATED = b"12721"
CORPUS = (
    "' OR '1'='1' --", "'; DROP TABLE users; --", "1) UNION SELECT password_hash FROM users --",
    "%' ESCAPE 'x", "\\'; SELECT pg_sleep(9); --", "$$; COPY users TO PROGRAM 'id'; $$", ":name %(name)s ? {0}",
    "{{ 179 * 71 + 12 }}${179*71+12}#{179*71+12}", "{% import os %}", "../../../../etc/passwd", "..\\..\\secret", "/etc/passwd",
    "a\r\nSet-Cookie: wb_session=x", "\x00", "a\ud800", "9" * 400, "true", "=cmd|' /C calc'!A0",
)  # fmt: skip


@pytest.mark.database("postgresql")
def test_no_text_parameter_is_more_than_text(outside: Outside) -> None:
    there = Installation(outside, 4)
    wrong = asyncio.run(_all_answers(there))
    assert wrong == [], "\n".join(wrong)
    with outside.db.read() as session:
        assert session.query(UserRow).count() > 0


async def _all_answers(there: Installation) -> list[str]:
    wrong = []
    headers = HEADERS | there.bearer(Role.ADMIN)
    async with there.client() as client:
        for target in there.targets:
            signed_out = False
            for name, case in _with_payloads(target):
                try:
                    answer = await send(client, case, headers)
                except UnicodeEncodeError:
                    continue  # no client can send it there
                signed_out = signed_out or answer.status_code == 401
                told = "wb_session=x" in answer.headers.get("set-cookie", "")
                if answer.status_code not in ANSWERS or EVALUATED in answer.content or told:
                    wrong.append(f"{target.operation.label} {name}: {answer.status_code} {answer.text[:200]}")
            if signed_out:
                headers = HEADERS | there.bearer(Role.ADMIN)
    return wrong


def _with_payloads(target: Target) -> Iterator[tuple[str, Case]]:
    """Each text that the route takes, with each payload, the others as they were."""
    for where in ("query", "path_parameters", "body"):
        names: dict[str, Case] = {}
        for case in target.cases:
            values = getattr(case, where)
            if isinstance(values, dict):
                names |= {name: case for name, value in values.items() if isinstance(value, str | list)}
        for name, case in names.items():
            if name == "key":
                continue  # the project must be found, or nothing behind it is reached
            kept = getattr(case, where)
            for payload in CORPUS:
                setattr(case, where, kept | {name: [payload] if isinstance(kept[name], list) else payload})
                yield f"{where}.{name}", case
            setattr(case, where, kept)
