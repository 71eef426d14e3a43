"""Settings, webhooks and ids of a real server: what members change is put back, what is refused is told."""

import dataclasses
import json
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from integrations.label_studio.errors import AddressRefused, LabelStudioRejected
from integrations.label_studio.interface import LaneSpec
from integrations.label_studio.server import LocalServerSpec, free_port, new_token, start, stop
from integrations.label_studio.upkeep import config_digest
from tests.contracts.label_studio.conftest import annotate, task
from tests.label_studio_server import PASSWORD, PYTHON, TEMPLATE, TestServer

ACTIONS = ("ANNOTATION_CREATED", "ANNOTATIONS_DELETED")


@pytest.fixture
def spec(config) -> LaneSpec:
    return LaneSpec(
        "test:mended", "Reviews, first pool", config.xml, 1, "Read, then choose.", "For: Ann\nHello"
    )


@pytest.fixture
def mended_lane(label_studio, spec):
    lane = label_studio.create_lane(spec)
    yield lane
    label_studio.delete_lane(lane)


def test_a_lane_that_is_right_is_left_alone(label_studio, spec, mended_lane):
    first = label_studio.mend_lane(mended_lane, spec, None)
    again = label_studio.mend_lane(mended_lane, spec, first.config_digest)
    assert (first.fields, first.refused, again) == ((), (), first)


def test_what_a_member_changed_is_put_back(label_studio, label_studio_server, spec, mended_lane, ann, config):
    digest = label_studio.mend_lane(mended_lane, spec, None).config_digest
    other = config.xml.replace("negative", "nope")
    odd = {
        "title": "Mine now",
        "description": "no key",
        "sampling": "Sequential sampling",
        "model_version": "",
    }
    assert ann.patch(f"/api/projects/{mended_lane}/", json=odd).status_code == 200
    assert ann.patch(f"/api/projects/{mended_lane}/", json={"label_config": other}).status_code == 200
    assert label_studio.find_lane(spec.key) is None
    mended = label_studio.mend_lane(mended_lane, spec, digest)
    assert {"title", "description", "sampling", "label_config"} <= set(mended.fields)
    assert label_studio.find_lane(spec.key) == mended_lane
    assert label_studio.mend_lane(mended_lane, spec, mended.config_digest).fields == ()


def test_a_screen_that_answers_stand_against_is_told(label_studio, ann, mended_lane, spec, config):
    digest = label_studio.mend_lane(mended_lane, spec, None).config_digest
    (task_id,) = label_studio.push(mended_lane, [task(1)]).values()
    renamed = config.xml.replace('name="label"', 'name="other"')
    assert ann.patch(f"/api/projects/{mended_lane}/", json={"label_config": renamed}).status_code == 200
    region = {
        "id": "r",
        "from_name": "other",
        "to_name": "item",
        "type": "choices",
        "value": {"choices": ["positive"]},
    }
    assert ann.post(f"/api/tasks/{task_id}/annotations/", json={"result": [region]}).status_code == 201
    mended = label_studio.mend_lane(mended_lane, spec, digest)
    assert mended.refused == ("label_config",)
    assert mended.config_digest == config_digest(renamed) != digest


def test_the_ids_of_a_living_server_rise_and_the_check_leaves_nothing(label_studio, lane):
    before = label_studio.probe_ids()
    made = set(label_studio.push(lane, [task(1), task(2)]).values())
    after = label_studio.probe_ids()
    label_studio.delete_tasks(lane, made)
    last = label_studio.probe_ids()
    # The import itself may give out again what a deleted task had: the check never does.
    assert max(made) < after.task_id < last.task_id
    assert before.project_id < after.project_id < last.project_id
    assert before.annotation_id < after.annotation_id < last.annotation_id
    assert label_studio.find_lane("probe") is None


def test_a_check_that_was_interrupted_is_cleared_away(label_studio):
    config = '<View><Text name="text" value="$text"/></View>'
    label_studio.create_lane(LaneSpec("probe", "left over", config))
    label_studio.probe_ids()
    assert label_studio.find_lane("probe") is None


def test_a_private_address_is_refused_and_told_apart(label_studio, lane):
    with pytest.raises(AddressRefused, match="private addresses"):
        label_studio.set_hook(lane, None, url="http://127.0.0.1:8000/x", headers={}, actions=ACTIONS)
    with pytest.raises(AddressRefused):
        label_studio.set_hook(lane, None, url="not an address", headers={}, actions=ACTIONS)
    assert label_studio.hooks(lane) == []


def test_a_webhook_is_made_changed_and_removed(label_studio, lane):
    # An address that is never called: nothing happens in this lane.
    url = "http://192.0.9.1/hooks/label-studio/abc"
    made = label_studio.set_hook(lane, None, url=url, headers={"X-A": "1"}, actions=ACTIONS)
    (hook,) = label_studio.hooks(lane)
    assert (hook.hook_id, hook.url, hook.headers) == (made, url, {"X-A": "1"})
    assert (hook.actions, hook.is_active, hook.for_all_actions) == (frozenset(ACTIONS), True, False)
    assert label_studio.set_hook(lane, made, url=url, headers={"X-A": "2"}, actions=ACTIONS) == made
    assert label_studio.hooks(lane)[0].headers == {"X-A": "2"}
    label_studio.delete_hook(made)
    label_studio.delete_hook(made)
    assert label_studio.hooks(lane) == []
    with pytest.raises(LabelStudioRejected) as gone:
        label_studio.set_hook(lane, made, url=url, headers={}, actions=ACTIONS)
    assert gone.value.status == 404


@pytest.fixture
def receiver():
    heard: list[tuple[str, dict]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"]))
            heard.append((self.path, json.loads(body)))
            self.send_response(202)
            self.end_headers()

        def log_message(self, *_):
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server.server_port, heard
    server.shutdown()
    server.server_close()


def test_the_local_server_calls_our_door_and_nothing_else_of_this_machine(tmp_path, receiver, config):
    port, heard = receiver
    spec = LocalServerSpec(
        tmp_path / "data", free_port(), PYTHON, "a@example.com", PASSWORD, new_token(), template_dir=TEMPLATE
    )
    door = f"http://127.0.0.1:{port}/hooks/label-studio/"
    running = start(dataclasses.replace(spec, receiver=door, workers=1))
    try:
        server = TestServer(running.url, spec.admin_token, running.pid, spec.admin_email, PASSWORD, tmp_path)
        with server.client() as client, server.sign_in(spec.admin_email, PASSWORD) as browser:
            lane = client.create_lane(LaneSpec("door", "Reviews", config.xml))
            client.set_hook(lane, None, url=door + "abc123", headers={}, actions=ACTIONS)
            for other in (
                f"http://127.0.0.1:{port}/x",
                door + "../x",
                f"http://127.0.0.1:{port + 1}/hooks/label-studio/a",
            ):
                with pytest.raises(AddressRefused):
                    client.set_hook(lane, None, url=other, headers={}, actions=ACTIONS)
            (task_id,) = client.push(lane, [task(1)]).values()
            annotate(browser, task_id)
            # What members make it read is checked as ever.
            answer = browser.post(f"/api/projects/{lane}/import", data={"url": door + "abc123"})
            assert answer.status_code in {400, 403}
        ((path, told),) = heard
        assert (path, told["action"], told["task"]["id"]) == (
            "/hooks/label-studio/abc123",
            "ANNOTATION_CREATED",
            task_id,
        )
    finally:
        stop(running.pid)
