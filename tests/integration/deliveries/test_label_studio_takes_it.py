"""An export in Label Studio's form, taken by a real Label Studio's own import."""

from __future__ import annotations

import json
from pathlib import Path

import httpx
import pytest

from tests.label_studio_server import TestServer
from tests.unit.workbench.deliveries.test_exporting import made
from tests.unit.workbench.deliveries.world import DANGEROUS, build
from workbench.outside import Outside


@pytest.mark.database("sqlite")
def test_tasks_annotations_and_predictions_arrive(
    outside: Outside, label_studio_server: TestServer, tmp_path: Path
):
    with outside.db.write() as session:
        world = build(session)
    row = made(outside, world, "ls-json")
    head = {"Authorization": f"Token {label_studio_server.token}"}
    with httpx.Client(base_url=label_studio_server.url, headers=head, timeout=60) as client:
        project = client.post(
            "/api/projects/",
            json={"title": "Exported", "label_config": row.manifest["label_config"]},
        ).json()["id"]
        with Path(row.path).open("rb") as file:
            done = client.post(f"/api/projects/{project}/import", files={"file": ("labels.json", file)})
        assert done.status_code == 201, done.text
        counts = done.json()
        assert (counts["task_count"], counts["annotation_count"], counts["prediction_count"]) == (8, 8, 5)
        tasks = client.get(
            "/api/tasks", params={"project": project, "fields": "all", "page_size": 100}
        ).json()["tasks"]
        sent = {task["data"]["wb_item_id"]: task for task in json.loads(Path(row.path).read_bytes())}
        assert len(tasks) == len(sent) == 8
        for task in tasks:
            wanted = sent[task["data"]["wb_item_id"]]
            assert task["data"] == wanted["data"]
            assert (
                task["annotations"][0]["result"][0]["value"] == wanted["annotations"][0]["result"][0]["value"]
            )
            assert task["annotations"][0]["ground_truth"] is False
            assert task["meta"]["source"] == wanted["meta"]["source"]
        assert any(task["data"]["text"] == DANGEROUS for task in tasks)
        client.delete(f"/api/projects/{project}/")
