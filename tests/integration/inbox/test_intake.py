"""The door for webhooks: what is answered with 202 is stored, everything else leaves nothing behind."""

from __future__ import annotations

import asyncio
import json
import threading
from dataclasses import replace

import httpx
import pytest
from sqlalchemy import select

from tests.factories import make_server
from workbench.app import create_app
from workbench.inbox.domain import digest_of
from workbench.inbox.intake import LARGEST, Intake
from workbench.inbox.service import HEADER, address_of, receiver_for, rotate_secret
from workbench.inbox.tables import DeliveryRow

DELIVERY = {
    "action": "ANNOTATION_CREATED",
    "annotation": {"id": 5, "task": 7},
    "task": {"id": 7},
    "project": {"id": 3, "token": "0123456789abcdef"},
}


@pytest.fixture
def hook(outside):
    with outside.db.write() as session:
        server = make_server(session)
        row = receiver_for(outside, session, server.id)
    return address_of(outside, row)


def path_of(hook) -> str:
    return "/hooks/label-studio/" + hook.url.rpartition("/")[2]


def rows(outside) -> list[DeliveryRow]:
    with outside.db.read() as session:
        return list(session.scalars(select(DeliveryRow).order_by(DeliveryRow.id)))


async def client_of(outside) -> httpx.AsyncClient:
    transport = httpx.ASGITransport(app=create_app(outside, features=()))
    return httpx.AsyncClient(transport=transport, base_url="http://testserver")


def post(outside, path: str, content: bytes, headers: dict[str, str], times: int = 1) -> list[httpx.Response]:
    async def run() -> list[httpx.Response]:
        async with await client_of(outside) as client:
            calls = [client.post(path, content=content, headers=headers) for _ in range(times)]
            return list(await asyncio.gather(*calls))

    return asyncio.run(run())


def test_a_delivery_is_stored_before_it_is_answered_and_keeps_no_token(outside, hook):
    body = json.dumps(DELIVERY).encode()
    (answer,) = post(outside, path_of(hook), body, hook.headers)
    assert (answer.status_code, answer.content) == (202, b"")
    (row,) = rows(outside)
    assert (row.action, row.digest, row.tries) == ("ANNOTATION_CREATED", digest_of(body), 0)
    assert b"0123456789abcdef" not in row.body
    assert json.loads(row.body) == DELIVERY | {"project": {"id": 3, "token": ""}}
    assert answer.headers["x-content-type-options"] == "nosniff"


def test_the_same_delivery_many_times_is_one_row(outside, hook):
    answers = post(outside, path_of(hook), json.dumps(DELIVERY).encode(), hook.headers, times=50)
    assert {answer.status_code for answer in answers} == {202}
    assert len(rows(outside)) == 1


@pytest.mark.parametrize(
    ("path", "secret", "status"),
    [("ours", "wrong", 401), ("ours", "", 401), ("f" * 48, "ours", 404), ("", "ours", 404)],
)
def test_a_stranger_learns_nothing_and_leaves_nothing(outside, hook, path, secret, status):
    address = path_of(hook) if path == "ours" else f"/hooks/label-studio/{path}"
    headers = hook.headers if secret == "ours" else {HEADER: secret}
    (answer,) = post(outside, address, b"{}", headers)
    assert (answer.status_code, answer.content) == (status, b"")
    assert rows(outside) == []


def test_reading_is_no_way_in(outside, hook):
    async def run() -> int:
        async with await client_of(outside) as client:
            return (await client.get(path_of(hook), headers=hook.headers)).status_code

    assert asyncio.run(run()) == 404


def test_a_rotated_secret_and_the_one_before_hold_and_the_oldest_does_not(outside, hook):
    def rotate():
        with outside.db.write() as session:
            row = rotate_secret(outside, session, 1, by="ada@example.org")
        return address_of(outside, row)

    second = rotate()
    assert [post(outside, path_of(hook), b"1", h.headers)[0].status_code for h in (hook, second)] == [202] * 2
    third = rotate()
    statuses = [post(outside, path_of(hook), b"2", h.headers)[0].status_code for h in (hook, second, third)]
    assert statuses == [401, 202, 202]


def test_what_is_too_large_is_refused_unread(outside, hook):
    assert post(outside, path_of(hook), b"x" * (LARGEST + 1), hook.headers)[0].status_code == 413

    async def endless():
        for _ in range(40):
            yield b"x" * 65536

    async def run() -> int:
        async with await client_of(outside) as client:
            return (await client.post(path_of(hook), content=endless(), headers=hook.headers)).status_code

    assert asyncio.run(run()) == 413
    assert rows(outside) == []


def test_a_body_that_trickles_in_is_given_up(outside, hook, monkeypatch):
    monkeypatch.setattr("workbench.inbox.intake.SLOWEST_S", 0.2)
    sent: list[dict] = []

    async def run() -> None:
        app = create_app(outside, features=())
        first = True

        async def receive() -> dict:
            nonlocal first
            if first:
                first = False
                return {"type": "http.request", "body": b"{", "more_body": True}
            await asyncio.sleep(60)
            return {}

        async def send(message: dict) -> None:
            sent.append(message)

        headers = [(HEADER.lower().encode(), hook.secret.encode())]
        scope = {"type": "http", "method": "POST", "path": path_of(hook), "headers": headers}
        await app(scope, receive, send)  # type: ignore[arg-type]

    asyncio.run(run())
    assert sent[0]["status"] == 408
    assert rows(outside) == []


def test_no_more_wait_than_may_and_the_sender_is_told_when_to_come_back(outside, hook):
    small = replace(outside, settings=outside.settings.model_copy(update={"inbox_queue": 3}))
    held = threading.Event()

    intake = Intake(create_app(small, features=()), outside=small, headers={})
    store = intake.writer._store

    def slowly(batch):
        held.wait(10)
        store(batch)

    intake.writer._store = slowly  # type: ignore[method-assign]

    async def run() -> list[int]:
        transport = httpx.ASGITransport(app=intake)
        async with httpx.AsyncClient(transport=transport, base_url="http://testserver") as client:

            async def one(n: int) -> httpx.Response:
                return await client.post(path_of(hook), content=str(n).encode(), headers=hook.headers)

            first = asyncio.create_task(one(0))
            await asyncio.sleep(0.3)
            rest = [asyncio.create_task(one(n)) for n in range(1, 9)]
            await asyncio.sleep(0.3)
            held.set()
            return [await first, *[await task for task in rest]]

    answers = asyncio.run(run())
    statuses = [answer.status_code for answer in answers]
    assert (statuses.count(202), statuses.count(429)) == (4, 5)
    assert all(a.headers["retry-after"] == "1" for a in answers if a.status_code == 429)
    assert len(rows(outside)) == 4


def test_what_cannot_be_stored_is_not_answered_as_if_it_were(outside, hook):
    intake = Intake(create_app(outside, features=()), outside=outside, headers={})

    def broken(batch):
        raise OSError("the disk is full")

    intake.writer._store = broken  # type: ignore[method-assign]

    async def run() -> int:
        transport = httpx.ASGITransport(app=intake)
        async with httpx.AsyncClient(transport=transport, base_url="http://testserver") as client:
            return (await client.post(path_of(hook), content=b"1", headers=hook.headers)).status_code

    assert asyncio.run(run()) == 503
