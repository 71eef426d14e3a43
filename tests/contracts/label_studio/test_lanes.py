import uuid

import pytest

from integrations.label_studio.client import LabelStudioClient
from integrations.label_studio.errors import LabelConfigInvalid, LabelStudioRejected
from integrations.label_studio.interface import LaneSpec
from tests.contracts.label_studio.fault_proxy import fault_proxy

pytestmark = pytest.mark.label_studio


def test_probe_tells_who_and_what(label_studio, label_studio_server):
    info = label_studio.probe()
    assert info.version == "1.23.2"
    assert info.user_email == label_studio_server.admin_email
    assert info.organization_id == 1
    assert info.legacy_tokens
    assert info.latency_ms > 0
    assert info.capabilities == {
        "community": True,
        "door": True,
        "legacy_tokens": True,
        "personal_tokens": True,
        "supported_version": True,
    }


def test_a_lane_is_found_again_and_made_once(label_studio, make_lane):
    key = f"test:{uuid.uuid4().hex}"
    assert label_studio.find_lane(key) is None
    lane = make_lane(key=key)
    assert make_lane(key=key) == lane
    assert label_studio.find_lane(key) == lane
    assert label_studio.find_lane(key[:-1]) is None


def test_a_renamed_lane_keeps_its_key(label_studio, make_lane, ann):
    key = f"test:{uuid.uuid4().hex}"
    lane = make_lane(key=key)
    label_studio.update_lane(lane, title="Another title", description="Other words", instruction="Be quick.")
    assert label_studio.find_lane(key) == lane
    seen = ann.get(f"/api/projects/{lane}/").json()
    assert seen["title"] == "Another title"
    assert seen["description"].startswith("Other words\n")
    assert (seen["expert_instruction"], seen["show_instruction"]) == ("Be quick.", True)
    assert seen["maximum_annotations"] == 1


def test_a_deleted_lane_is_gone_and_deleting_it_again_does_no_harm(label_studio, make_lane):
    lane = make_lane()
    assert label_studio.lane_exists(lane)
    label_studio.delete_lane(lane)
    assert not label_studio.lane_exists(lane)
    label_studio.delete_lane(lane)


def test_a_long_title_is_cut_and_a_short_one_refused(label_studio, config, ann):
    lane = label_studio.create_lane(LaneSpec(f"t:{uuid.uuid4().hex}", "word " * 30, config.xml))
    assert len(ann.get(f"/api/projects/{lane}/").json()["title"]) <= 50
    label_studio.delete_lane(lane)
    with pytest.raises(LabelStudioRejected, match="too short"):
        label_studio.create_lane(LaneSpec(f"t:{uuid.uuid4().hex}", "x", config.xml))


def test_a_config_the_server_refuses_is_named_as_such(label_studio):
    xml = '<View><Choices name="a" toName="nowhere"><Choice value="x"/></Choices></View>'
    with pytest.raises(LabelConfigInvalid, match="does not take the label config"):
        label_studio.create_lane(LaneSpec(f"t:{uuid.uuid4().hex}", "Bad config", xml))


def test_the_door_is_found_and_opens_for_lanes_alone(label_studio, label_studio_server, lane, ann):
    assert label_studio.lane_url(lane) == f"{label_studio_server.url}/workbench/label/{lane}"
    page = ann.get(label_studio.lane_url(lane))
    assert page.status_code == 200
    assert "script-src 'sha256-" in page.headers["Content-Security-Policy"]
    for path in ("/workbench/label/0", "/workbench/label/x", "/workbench/label/1/2", "/workbench/labels"):
        assert ann.get(path).status_code == 404


def test_without_the_door_the_address_is_the_lane_page(label_studio_server):
    with fault_proxy(label_studio_server.url) as (url, faults):
        faults.status = 404
        with LabelStudioClient(url, label_studio_server.token) as client:
            assert client.lane_url(7) == client.lane_url(7) == f"{url}/projects/7/data"
            assert len(faults.seen) == 1
        faults.status = 503
        with LabelStudioClient(url, label_studio_server.token) as client:
            assert client.lane_url(7) == f"{url}/projects/7/data"
            faults.status = None
            assert client.lane_url(7) == f"{url}/workbench/label/7"
