"""A real Label Studio whose database file is swapped with an older copy: the ids tell, the keys bring it back."""

import dataclasses
import shutil
import sqlite3

from integrations.label_studio.server import DATABASE, LocalServerSpec, free_port, new_token, start, stop
from tests.integration.line.test_sending import ready
from tests.label_studio_server import PASSWORD, PYTHON, TEMPLATE, TestServer
from workbench.labeling.tables import VisitRow
from workbench.people.tables import ServerRow


def test_a_swapped_database_freezes_the_server_and_a_new_epoch_loses_nothing(outside, tmp_path, clock):
    spec = LocalServerSpec(
        tmp_path / "ls", free_port(), PYTHON, "a@example.com", PASSWORD, new_token(), template_dir=TEMPLATE
    )
    spec = dataclasses.replace(spec, workers=1)
    world = ready(outside, items=4, lane_limit=2)
    running = start(spec)
    server = TestServer(running.url, spec.admin_token, running.pid, spec.admin_email, PASSWORD, spec.data_dir)
    try:
        with server.client() as client:
            world.outside = dataclasses.replace(world.outside, label_studio=lambda url, token: client)
            world.sync()
            with server.sign_in(spec.admin_email, PASSWORD) as browser:
                _answer(browser, world.visits()[0].ls_task_id)
                world.sync()
                assert len(world.annotations()) == 1
            stop(running.pid)
            _settle(spec.data_dir / DATABASE)
            shutil.copyfile(spec.data_dir / DATABASE, tmp_path / "older")
            running = start(spec)
            with server.sign_in(spec.admin_email, PASSWORD) as browser:
                _answer(browser, world.visits()[1].ls_task_id)
            clock.forward(seconds=60)
            world.sync()
            assert len(world.annotations()) == 2
            pushed = {v.public_id for v in world.visits() if v.ls_task_id is not None}
            assert len(pushed) == 4
            stop(running.pid)
            for path in spec.data_dir.glob(f"{DATABASE}*"):
                path.unlink()
            shutil.copyfile(tmp_path / "older", spec.data_dir / DATABASE)
            running = start(spec)
            clock.forward(seconds=60)
            before = [(a.id, a.deleted_at, a.status) for a in world.annotations()]
            world.sync()
            assert world.rows(ServerRow)[0].state == "frozen"
            assert [(a.id, a.deleted_at, a.status) for a in world.annotations()] == before
            from workbench.labeling.restoring import resolve_restore

            resolve_restore(world.outside, 1, by="ada@example.org")
            for _ in range(3):
                clock.forward(seconds=60)
                world.sync()
            lane = world.lane().ls_project_id
            there = client.find_tasks(lane, pushed)
            assert sorted(len(ids) for ids in there.values()) == [1, 1, 1, 1]
            assert [(a.id, a.deleted_at, a.status) for a in world.annotations()] == before
            assert {v.epoch for v in world.rows(VisitRow)} == {2}
    finally:
        stop(running.pid)


def _answer(browser, task_id):
    region = {
        "id": "r",
        "from_name": "label",
        "to_name": "text",
        "type": "choices",
        "value": {"choices": ["Positive"]},
    }
    answer = browser.post(f"/api/tasks/{task_id}/annotations/", json={"result": [region], "lead_time": 3})
    assert answer.status_code == 201, answer.text


def _settle(database):
    connection = sqlite3.connect(database)
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()
