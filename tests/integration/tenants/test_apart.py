"""T1 for suppliers: each answer to acme's lead is the same, byte by byte, whether bolt is there or not."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable, Iterator
from itertools import product
from typing import Any

import pytest
from openpyxl import load_workbook
from sqlalchemy.orm import Session
from starlette.testclient import TestClient

from tests.integration.tenants.worlds import build, ids, lead, plain, seen
from tests.postgresql_server import TEMPLATE
from workbench.auth.access import guarded_routes
from workbench.db.tables import all_tables
from workbench.outside import Outside, outside_of
from workbench.settings import load_settings
from workbench.suppliers import store
from workbench.web import live

NOWHERE = "f" * 24
VALUES = {
    "key": ("sentiment", "nothing-here"),
    "token": (NOWHERE * 2,),
}
NUMBERS = ("1", "2", "3", "999")
FORMS: dict[str, list[dict[str, str]]] = {
    "/supplier/people/invitations": [
        {"email": email, "name": "New", "pool": pool}
        for email, pool in product(
            ("0@bolt.example", "new@bolt.example", "0@acme.example", "x@nowhere.example", "no address"),
            (ids("acme")["pool"], ids("bolt")["pool"], NOWHERE),
        )
    ],
}
QUERIES = (
    "",
    "?search=Bolt",
    "?search=Acme",
    "?person=PERSON",
    "?after=VISIT.0",
    "?after=9",
    "?sort=cost",
    "?order_by=supplier_id",
)


@pytest.fixture
def worlds(
    tmp_path: Any,
    clock: Any,
    database_kind: str,
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[tuple[Outside, Outside]]:
    """(with bolt, without)"""
    monkeypatch.setattr(live, "LONGEST_STREAM_S", 0.0)
    made = []
    for n, suppliers in enumerate((("acme", "bolt"), ("acme",))):
        url = ""
        if database_kind == "postgresql":
            url = request.getfixturevalue("postgresql_server").new(TEMPLATE)
        outside = outside_of(
            load_settings(data_dir=tmp_path / str(n), database_url=url),
            label_studio=lambda *_: None,  # type: ignore[arg-type, return-value]
            now=clock,
        )
        if not url:
            all_tables().create_all(outside.db.writer)
        build(outside, suppliers)
        made.append(outside)
    yield made[0], made[1]
    for outside in made:
        outside.db.close()


def asked(client: TestClient) -> Iterator[tuple[str, str, dict[str, str] | None]]:
    """Every request a lead can think of: each route, with own, foreign and invented ids."""
    app: Any = client.app
    own, theirs = ids("acme"), ids("bolt")
    for route in guarded_routes(app):
        names = [part[1:-1].partition(":")[0] for part in route.path.split("/") if part.startswith("{")]
        choices = [
            VALUES.get(name)
            or (
                (own[name], theirs[name], NOWHERE)
                if name in own
                else (*NUMBERS, own["person_id"], theirs["visit"])
            )
            for name in names
        ]
        for values in product(*choices):
            path = route.path
            for name, value in zip(names, values, strict=True):
                path = path.replace("{" + name + "}", value).replace("{" + name + ":path}", value)
            for method in sorted(set(route.methods or ()) - {"HEAD", "OPTIONS"}):
                if route.path == "/sign-out" or route.path.startswith("/account"):
                    continue
                if method == "GET":
                    mine = route.path.startswith(("/supplier", "/api/v1/supplier"))
                    for query in QUERIES if mine else QUERIES[:1]:
                        for who in (own, theirs):
                            filled = query.replace("PERSON", who["person_id"]).replace("VISIT", who["visit"])
                            yield method, path + filled, None
                else:
                    for form in FORMS.get(route.path, [{}]):
                        yield method, path, form


def told(client: TestClient, method: str, path: str, form: dict[str, str] | None) -> Any:
    answer = client.request(method, path, data=form) if form is not None else client.request(method, path)
    if "sheet" in answer.headers.get("content-type", "") and answer.status_code == 200:
        book = load_workbook(io.BytesIO(answer.content))
        assert zipfile.is_zipfile(io.BytesIO(answer.content))
        return 200, answer.headers["content-disposition"], [list(row) for row in book.active.values]  # type: ignore[union-attr]
    return seen(answer)


def differences(both: tuple[Outside, Outside]) -> tuple[list[str], dict[int, int], int]:
    beside, alone = lead(both[0]), lead(both[1])
    found, statuses, n = [], dict[int, int](), 0
    for method, path, form in dict.fromkeys(
        (m, p, tuple((f or {}).items()) if f is not None else None) for m, p, f in asked(beside)
    ):
        given = dict(form) if form is not None else None
        one, other = told(beside, method, path, given), told(alone, method, path, given)
        n += 1
        statuses[one[0]] = statuses.get(one[0], 0) + 1
        if one != other:
            found.append(f"{method} {path} {given or ''}: {first_difference(one, other)}")
    return found, statuses, n


def first_difference(one: Any, other: Any) -> str:
    for a, b in zip(one, other, strict=True):
        if a != b:
            at = next((i for i, (x, y) in enumerate(zip(str(a), str(b), strict=False)) if x != y), -1)
            return f"…{str(a)[max(0, at - 60) : at + 60]!r} ≠ …{str(b)[max(0, at - 60) : at + 60]!r}"
    return ""


def test_every_answer_is_the_same_with_another_supplier_or_without(worlds: tuple[Outside, Outside]) -> None:
    found, statuses, n = differences(worlds)
    assert not found, "\n".join(found)
    assert statuses.get(200, 0) >= 20, statuses
    assert 500 not in statuses, statuses
    print(n, "requests in each world", dict(sorted(statuses.items())))


def test_own_things_are_there(worlds: tuple[Outside, Outside]) -> None:
    client, mine = lead(worlds[0]), ids("acme")
    home = client.get("/supplier").text
    assert "Mood for acme" in home
    assert "a push of acme got no answer" in home
    work = client.get(f"/api/v1/supplier/projects/{mine['work_id']}").json()
    assert work["doubly_answered"] == 40
    assert work["alpha"]["low"] < work["alpha"]["value"] < work["alpha"]["high"]
    assert [one["amount"] for one in work["earned"]] == ["8.8"]
    csv = client.get(f"/supplier/projects/{mine['work_id']}/answers.csv").content.decode("utf-8-sig")
    assert len(csv.splitlines()) == 81
    assert (
        client.get(f"/supplier/lanes/{mine['lane_id']}")
        .headers["location"]
        .startswith("http://acme.example/")
    )
    assert client.get("/").headers["location"] == "/supplier"


def test_a_foreign_thing_is_answered_as_one_that_is_not_there(worlds: tuple[Outside, Outside]) -> None:
    client, theirs = lead(worlds[0]), ids("bolt")
    for path in (
        "/supplier/projects/{work_id}", "/supplier/projects/{work_id}/answers.csv",
        "/supplier/projects/{work_id}/answers.xlsx", "/supplier/lanes/{lane_id}",
        "/api/v1/supplier/projects/{work_id}", "/api/v1/supplier/projects/{work_id}/answers",
    ):  # fmt: skip
        foreign, nothing = (
            client.get(path.format(work_id=w, lane_id=e))
            for w, e in ((theirs["work_id"], theirs["lane_id"]), (NOWHERE, NOWHERE))
        )
        assert foreign.status_code == nothing.status_code == 404, path
        assert plain(foreign.text).replace(theirs["work_id"], NOWHERE).replace(
            theirs["lane_id"], NOWHERE
        ) == plain(nothing.text)


def test_the_other_way_round(worlds: tuple[Outside, Outside]) -> None:
    client = lead(worlds[0], "bolt")
    for path in ("/supplier", "/supplier/people", f"/supplier/projects/{ids('bolt')['work_id']}"):
        text = client.get(path).text
        assert "cme" not in text.replace("Acme", "acme") or "acme" not in text.lower(), path


@pytest.mark.database("sqlite")
def test_a_query_without_the_mechanism_is_found(
    worlds: tuple[Outside, Outside], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The planted bug: one list is read in an ordinary session, as somebody might in a hurry."""
    honest: Callable[..., Any] = store.incidents

    def planted(session: Session) -> Any:
        with Session(session.get_bind(), expire_on_commit=False) as bare:
            return honest(bare)

    monkeypatch.setattr(store, "incidents", planted)
    found, _, _ = differences(worlds)
    assert any("/supplier" in one and "bolt" in one for one in found)
