import time
from collections.abc import Iterator

import pytest

from integrations.label_studio.accounts import sign_up
from integrations.label_studio.client import LabelStudioClient
from integrations.label_studio.errors import (
    LabelStudioConfused,
    LabelStudioRefused,
    LabelStudioRejected,
    LabelStudioUnavailable,
)
from integrations.label_studio.server import free_port
from tests.contracts.label_studio.conftest import task
from tests.contracts.label_studio.fault_proxy import Faults, fault_proxy

pytestmark = pytest.mark.label_studio


@pytest.fixture
def through_proxy(label_studio_server) -> Iterator[tuple[LabelStudioClient, Faults]]:
    with fault_proxy(label_studio_server.url) as (url, faults):
        with LabelStudioClient(url, label_studio_server.token, timeout_s=1.0) as client:
            yield client, faults


def test_the_proxy_alone_changes_nothing(through_proxy):
    client, _ = through_proxy
    assert client.probe().version == "1.23.2"


def test_a_wrong_token_says_to_give_a_new_one(label_studio_server):
    with LabelStudioClient(label_studio_server.url, "0" * 40) as client:
        with pytest.raises(LabelStudioRefused, match="give a new token") as caught:
            client.probe()
    assert "0" * 40 not in str(caught.value)


def test_a_server_that_is_down_is_unavailable():
    with LabelStudioClient(f"http://127.0.0.1:{free_port()}", "0" * 40, timeout_s=1.0) as client:
        with pytest.raises(LabelStudioUnavailable, match="cannot be reached"):
            client.task_ids(1)


@pytest.mark.parametrize("status", [500, 502, 503, 429])
def test_a_failing_server_is_unavailable_and_works_again_afterwards(through_proxy, status):
    client, faults = through_proxy
    faults.status = status
    with pytest.raises(LabelStudioUnavailable, match=str(status)):
        client.members()
    faults.status = None
    assert client.members()


def test_a_slow_server_is_unavailable_after_our_patience(through_proxy):
    client, faults = through_proxy
    faults.delay_s = 30.0
    began = time.monotonic()
    with pytest.raises(LabelStudioUnavailable, match="within 1 s"):
        client.members()
    assert time.monotonic() - began < 5
    faults.delay_s = 0.0
    assert client.members()


def test_a_push_is_sent_once_whatever_happens(through_proxy, label_studio, lane):
    client, faults = through_proxy
    for fault in ({"status": 500}, {"status": 429}, {"lose_answer": True}):
        faults.seen.clear()
        faults.status, faults.lose_answer = fault.get("status"), fault.get("lose_answer", False)
        with pytest.raises(LabelStudioUnavailable):
            client.push(lane, [task(1)])
        assert faults.seen == [f"POST /api/projects/{lane}/import"]
    # The last one reached the server although we never heard: the look before a repeat sees it.
    assert list(label_studio.find_tasks(lane, ["visit-1"])) == ["visit-1"]


def test_a_redirect_is_not_followed(through_proxy):
    client, faults = through_proxy
    faults.status, faults.headers = 302, {"Location": "https://elsewhere.example.com/"}
    with pytest.raises(LabelStudioConfused, match="redirects"):
        client.members()


@pytest.mark.parametrize("body", [b"<html>a sign-in page</html>", b"", b"[", b'"text"', b"{}"])
def test_an_answer_of_another_form_is_confusing(through_proxy, body):
    client, faults = through_proxy
    faults.status, faults.body = 200, body
    with pytest.raises(LabelStudioConfused):
        client.members()


def test_counts_that_disagree_are_confusing(through_proxy):
    client, faults = through_proxy
    faults.status, faults.body = 201, b'{"task_count": 1, "prediction_count": 0, "task_ids": [7]}'
    with pytest.raises(LabelStudioConfused, match="look at what the lane has"):
        client.push(1, [task(1)])


def test_an_answer_that_is_too_large_is_not_read_to_its_end(through_proxy, monkeypatch):
    client, faults = through_proxy
    monkeypatch.setattr("integrations.label_studio.transport.MAX_ANSWER_BYTES", 1_000_000)
    faults.status, faults.body = 200, b"[" + b" " * 3_000_000 + b"]"
    with pytest.raises(LabelStudioConfused, match="larger than"):
        client.members()


def test_a_lane_that_is_gone_is_rejected_with_its_status(label_studio):
    for call in (lambda: label_studio.task_ids(999_999), lambda: label_studio.push(999_999, [task(1)])):
        with pytest.raises(LabelStudioRejected) as caught:
            call()
        assert caught.value.status == 404


def test_sign_up_at_a_server_that_is_down_or_failing(label_studio_server):
    with pytest.raises(LabelStudioUnavailable):
        sign_up(f"http://127.0.0.1:{free_port()}", "token", "a@example.com", "password-123", timeout_s=1)
    with fault_proxy(label_studio_server.url) as (url, faults):
        faults.status = 500
        with pytest.raises(LabelStudioUnavailable):
            sign_up(url, "token", "a@example.com", "password-123", timeout_s=1)
        faults.status = 200
        with pytest.raises(LabelStudioConfused):
            sign_up(url, "token", "a@example.com", "password-123", timeout_s=1)
