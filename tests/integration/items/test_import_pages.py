from __future__ import annotations

import csv
import io
import json
import re

import openpyxl
import pytest

from tests.factories import make_items, make_project
from tests.integration.web.clients import client_as
from tests.unit.workbench.items.running import Run
from workbench.items.jobs import JOB as IMPORT
from workbench.jobs.definition import JobState
from workbench.jobs.store import find_job, finish, report
from workbench.outside import Outside
from workbench.projects.tables import ProjectRow


@pytest.fixture
def project_id(outside: Outside) -> int:
    with outside.db.write() as session:
        return make_project(session).id


def test_an_import_without_job_is_shown(outside: Outside, project_id: int):
    with outside.db.write() as session:
        made = make_items(session, session.get_one(ProjectRow, project_id), 1)[0].import_id
    client = client_as(outside)
    assert client.get("/projects/sentiment/import").status_code == 200
    assert client.get(f"/projects/sentiment/import/{made}").status_code == 200
    assert len(client.get("/api/v1/projects/sentiment/imports").json()["imports"]) == 1


def run_job(outside: Outside, job_id: str) -> None:
    with outside.db.read() as session:
        arguments = find_job(session, job_id).arguments
    result = IMPORT.run(Run(outside), arguments)
    with outside.db.write() as session:
        report(session, job_id, done=result["read"], total=result["read"])
        finish(session, job_id, JobState.DONE, now=outside.now(), result=result)


def upload(client, content: bytes, name: str):
    return client.post(
        "/projects/sentiment/import", files={"file": (name, content, "application/octet-stream")}
    )


def test_from_upload_to_rejects(outside: Outside, project_id: int):
    client = client_as(outside)
    assert "Upload a file" in client.get("/projects/sentiment/import").text
    content = 'Nummer;Kommentar;Sprache\nn1;"<script>alert(1)</script>";de\nn2;;de\nn3;=1+1;de\n'.encode(
        "cp1252"
    )
    seen = upload(client, content, "../evil<b>.csv")
    assert seen.status_code == 303
    page = client.get(seen.headers["location"]).text
    assert "separated by semicolons" in page
    assert "<script>alert" not in page
    assert re.search(r'<option value="Kommentar" selected', page)
    started = client.post(
        seen.headers["location"], data={"text": "Kommentar", "external_id": "Nummer", "language": "Sprache"}
    )
    assert started.status_code == 303
    result = started.headers["location"]
    assert "Progress" in client.get(result).text
    one = client.get("/api/v1/projects/sentiment/imports").json()["imports"][0]
    assert (one["state"], one["file_name"]) == ("queued", "evil<b>.csv")
    assert client.get(f"{result}/rejects").status_code == 404
    run_job(outside, one["job_id"])
    page = client.get(f"{result}/progress").text
    assert "Download rejects" in page
    one = client.get(f"/api/v1/projects/sentiment/imports/{one['id']}").json()
    assert (one["added"], one["rejected"], one["state"]) == (2, 1, "done")
    rejects = client.get(f"{result}/rejects")
    assert rejects.headers["content-disposition"] == f'attachment; filename="rejects-{one["id"]}.csv"'
    assert rejects.headers["x-content-type-options"] == "nosniff"
    reader = csv.reader(io.StringIO(rejects.content.decode("utf-8-sig"), newline=""))
    assert list(reader) == [
        ["line", "reason", "row"],
        ["3", 'has no text in "Kommentar"', '{"Nummer": "n2", "Sprache": "de"}'],
    ]
    assert "evil" in client.get("/projects/sentiment/import").text


def test_the_same_file_again_says_all_were_known(outside: Outside, project_id: int):
    client = client_as(outside)
    for wanted in ((2, 0), (0, 2)):
        made = client.post(
            "/api/v1/projects/sentiment/imports",
            files={"file": ("a.jsonl", b'{"id": 1, "text": "a"}\n{"id": 2, "text": "b"}\n')},
        )
        assert made.status_code == 202
        run_job(outside, made.json()["job_id"])
        one = client.get(f"/api/v1/projects/sentiment/imports/{made.json()['id']}").json()
        assert (one["added"], one["known"]) == wanted
    assert "All rows were known already" in client.get(f"/projects/sentiment/import/{one['id']}").text


def test_xlsx_with_a_mapping(outside: Outside, project_id: int):
    book = openpyxl.Workbook()
    for row in (["Title"], ["key", "a", "b"], ["k1", "short", "x"]):
        book.active.append(row)
    stream = io.BytesIO()
    book.save(stream)
    made = client_as(outside).post(
        "/api/v1/projects/sentiment/imports",
        files={"file": ("a.xlsx", stream.getvalue())},
        data={"mapping": json.dumps({"text": "a", "external_id": "key", "left_out": ["b"]})},
    )
    assert made.status_code == 202, made.text
    assert made.json()["mapping"]["left_out"] == ["b"]


@pytest.mark.parametrize(
    ("content", "name", "said"),
    [
        (b"%PDF-1.4", "a.pdf", "this is a PDF"),
        (b"", "a.csv", "empty"),
        (b"PK\x03\x04broken", "a.xlsx", "no XLSX workbook"),
        (b"id,text\n", "a.csv", "no row"),
    ],
)
def test_bad_files_give_one_sentence(outside: Outside, project_id: int, content: bytes, name: str, said: str):
    client = client_as(outside)
    answer = upload(client, content, name)
    assert answer.status_code == 422
    assert said in answer.text
    answer = client.post("/api/v1/projects/sentiment/imports", files={"file": (name, content)})
    assert answer.status_code == 422
    assert said in answer.json()["detail"]
    assert client.get("/api/v1/projects/sentiment/imports").json() == {"imports": []}


@pytest.mark.parametrize(
    "mapping", ["[]", "{", '{"text": 1}', '{"text": "nowhere"}', '{"text": "text", "x": "id"}', "[" * 100_000]
)
def test_bad_mappings(outside: Outside, project_id: int, mapping: str):
    answer = client_as(outside).post(
        "/api/v1/projects/sentiment/imports",
        files={"file": ("a.csv", b"id,text\n1,a\n")},
        data={"mapping": mapping},
    )
    assert answer.status_code == 422


def test_a_mapping_of_the_page_that_cannot_be_is_said_there(outside: Outside, project_id: int):
    client = client_as(outside)
    address = upload(client, b"id,text\n1,a\n", "a.csv").headers["location"]
    answer = client.post(address, data={"text": "text", "external_id": "text"})
    assert answer.status_code == 422
    assert "two meanings" in answer.text


def test_other_projects_and_roles_see_nothing(outside: Outside, project_id: int):
    with outside.db.write() as session:
        other = make_project(session, "other")
    admin = client_as(outside)
    made = admin.post(
        "/api/v1/projects/sentiment/imports", files={"file": ("a.csv", b"id,text\n1,a\n")}
    ).json()
    address = upload(admin, b"id,text\n1,a\n", "a.csv").headers["location"]
    stranger = client_as(outside, "pm", project_id=other.id)
    assert stranger.get(f"/api/v1/projects/sentiment/imports/{made['id']}").status_code == 404
    assert stranger.get(f"/api/v1/projects/other/imports/{made['id']}").status_code == 404
    assert stranger.get(address.replace("sentiment", "other")).status_code == 404
    assert (
        client_as(outside, "viewer")
        .post("/api/v1/projects/sentiment/imports", files={"file": ("a.csv", b"x")})
        .status_code
        == 403
    )
