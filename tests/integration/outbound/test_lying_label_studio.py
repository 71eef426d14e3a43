"""A Label Studio that lies, over HTTP: every lie ends in one of our errors, in a sentence, in time."""

import gzip
import json
import time

import pytest

from integrations.label_studio.client import LabelStudioClient
from integrations.label_studio.errors import (
    LabelStudioConfused,
    LabelStudioError,
    LabelStudioRejected,
    LabelStudioUnavailable,
)
from integrations.label_studio.interface import NewTask
from integrations.label_studio.transport import PUBLIC_OR_HERE
from integrations.outbound.rules import Purpose, Rules
from tests.integration.outbound.servers import plain, server
from tests.integration.outbound.test_calls import (
    chunks_forever,
    continues_forever,
    forever,
    says_much,
    silent,
    slow_body,
    slow_chunks,
    slow_header,
)

TOKEN = "0123456789abcdef0123456789abcdef01234567"
AT = "2026-11-22T10:43:36.073098Z"
HTML = plain(b"<html>sign in</html>", "Content-Type: text/html")


def answering(value, *headers, status="200 OK"):
    body = value if isinstance(value, bytes) else json.dumps(value).encode()
    return plain(body, "Content-Type: application/json", *headers, status=status)


def talk(script, call, *, timeout_s=2.0, rules=None):
    with server(script) as there:
        with LabelStudioClient(there.url("127.0.0.1"), TOKEN, timeout_s=timeout_s, rules=rules) as client:
            return call(client)


def a_task(**more):
    return {
        "id": 7,
        "updated_at": AT,
        "is_labeled": False,
        "data": {"wb_visit": "v"},
        "annotations": [],
    } | more


def an_answer(**more):
    return {
        "id": 5,
        "result": [],
        "completed_by": 2,
        "created_at": AT,
        "updated_at": AT,
    } | more


def push(client):
    return client.push(
        1,
        [NewTask("v1", "i1", {"text": "t"}, 0.5, "m", []), NewTask("v2", "i2", {"text": "t"}, 0.5, "m", [])],
    )


def members(client):
    return client.members()


def task_ids(client):
    return client.task_ids(1)


def changed(client):
    return client.changed_tasks(1, None)


def read(client):
    return client.read_tasks(1, [7])


PAGE_OF_TASKS = {"tasks": [{"id": n + 1, "updated_at": AT} for n in range(1000)]}
HUGE = 10**300
LIES = [
    ("a page of HTML", HTML, members, LabelStudioConfused),
    (
        "JSON with the wrong type",
        plain(b"<html>", "Content-Type: application/json"),
        members,
        LabelStudioConfused,
    ),
    ("nothing", plain(b""), members, LabelStudioConfused),
    ("NaN", answering(b'[{"id": NaN}]'), members, LabelStudioConfused),
    ("Infinity", answering(b'{"task_count": Infinity}'), push, LabelStudioConfused),
    ("a number of 5,000 digits", answering(b'[{"id": ' + b"9" * 5000 + b"}]"), members, LabelStudioConfused),
    ("an id no database holds", answering([{"id": HUGE}]), members, LabelStudioConfused),
    ("a negative id", answering([{"id": -1}]), members, LabelStudioConfused),
    ("an id that is true", answering([{"id": True}]), members, LabelStudioConfused),
    ("an id that is text", answering([{"id": "7"}]), members, LabelStudioConfused),
    ("JSON 100,000 deep", answering(b"[" * 100_000 + b"]" * 100_000), members, LabelStudioConfused),
    ("bytes that are no text", plain(b"\xff\xfe\x00"), members, LabelStudioConfused),
    ("a list for an object", answering([]), task_ids, LabelStudioConfused),
    ("an object for a list", answering({"a": 1}), members, LabelStudioConfused),
    (
        "a redirect elsewhere",
        plain(b"", "Location: http://169.254.169.254/", status="302 Found"),
        members,
        LabelStudioConfused,
    ),
    (
        "a redirect of a push",
        plain(b"", "Location: http://evil.test/", status="307 Moved"),
        push,
        LabelStudioConfused,
    ),
    ("not modified", plain(b"", status="304 Not Modified"), members, LabelStudioConfused),
    (
        "too few tasks",
        answering({"task_count": 1, "prediction_count": 1, "task_ids": [1]}),
        push,
        LabelStudioConfused,
    ),
    (
        "too many tasks",
        answering({"task_count": 3, "prediction_count": 3, "task_ids": [1, 2, 3]}),
        push,
        LabelStudioConfused,
    ),
    (
        "one task twice",
        answering({"task_count": 2, "prediction_count": 2, "task_ids": [1, 1]}),
        push,
        LabelStudioConfused,
    ),
    (
        "fewer ids than counted",
        answering({"task_count": 2, "prediction_count": 2, "task_ids": [1]}),
        push,
        LabelStudioConfused,
    ),
    (
        "predictions lost",
        answering({"task_count": 2, "prediction_count": 0, "task_ids": [1, 2]}),
        push,
        LabelStudioConfused,
    ),
    (
        "ids that are text",
        answering({"task_count": 2, "prediction_count": 2, "task_ids": ["1", "2"]}),
        push,
        LabelStudioConfused,
    ),
    ("the same page of tasks again and again", answering(PAGE_OF_TASKS), task_ids, LabelStudioConfused),
    ("the same page of changes again and again", answering(PAGE_OF_TASKS), changed, LabelStudioConfused),
    (
        "projects without end",
        answering({"results": [{"id": 1, "description": ""}], "next": "http://x"}),
        lambda client: client.find_lane("wb:1"),
        LabelStudioConfused,
    ),
    ("a task nobody asked for", answering({"tasks": [a_task(id=8)]}), read, LabelStudioConfused),
    ("a task twice", answering({"tasks": [a_task(), a_task()]}), read, LabelStudioConfused),
    (
        "a task without annotations",
        answering({"tasks": [a_task(annotations=None)]}),
        read,
        LabelStudioConfused,
    ),
    (
        "an annotation by nobody's number",
        answering({"tasks": [a_task(annotations=[an_answer(completed_by="x")])]}),
        read,
        LabelStudioConfused,
    ),
    (
        "a time without zone",
        answering({"tasks": [a_task(updated_at="2026-11-22T10:43:36")]}),
        read,
        LabelStudioConfused,
    ),
    (
        "a time before all time",
        answering({"tasks": [a_task(updated_at="0001-01-01T00:00:00+14:00")]}),
        read,
        LabelStudioConfused,
    ),
    ("a time that is a number", answering({"tasks": [a_task(updated_at=17)]}), read, LabelStudioConfused),
    ("packed in an unknown way", plain(b"x", "Content-Encoding: br"), members, LabelStudioConfused),
    ("packed and broken", plain(b"x", "Content-Encoding: gzip"), members, LabelStudioConfused),
    ("another protocol", lambda c, _: c.sendall(b"SSH-2.0-x\r\n"), members, LabelStudioUnavailable),
    ("no status", lambda c, _: c.sendall(b"HTTP/1.1 yes\r\n\r\n"), members, LabelStudioUnavailable),
    (
        "a server error with a body",
        answering(b"Traceback: secret", status="500 Oops"),
        members,
        LabelStudioUnavailable,
    ),
    ("an error as success", answering({"detail": "no"}), members, LabelStudioConfused),
]
ENDLESS = [forever, chunks_forever, says_much]
SLOW = [slow_body, slow_header, slow_chunks, continues_forever, silent]


@pytest.mark.parametrize(("script", "call", "error"), [one[1:] for one in LIES], ids=[one[0] for one in LIES])
def test_a_lie_is_an_error_with_a_sentence(script, call, error):
    with pytest.raises(error) as caught:
        talk(script, call)
    message = str(caught.value)
    assert len(message) > 40
    assert TOKEN not in message
    assert "secret" not in message


@pytest.mark.parametrize("script", ENDLESS)
def test_an_endless_answer_is_confusing(script):
    rules = Rules(Purpose.LABEL_STUDIO, PUBLIC_OR_HERE.networks, max_bytes=1_000_000)
    with pytest.raises(LabelStudioConfused, match="larger than"):
        talk(script, members, timeout_s=20, rules=rules)


@pytest.mark.parametrize("script", SLOW)
def test_a_slow_answer_is_unavailable_in_time(script):
    began = time.monotonic()
    with pytest.raises(LabelStudioUnavailable, match="did not answer within"):
        talk(script, members, timeout_s=0.4)
    assert time.monotonic() - began < 2


def test_a_bomb_is_confusing():
    rules = Rules(Purpose.LABEL_STUDIO, PUBLIC_OR_HERE.networks, max_bytes=1_000_000)
    with pytest.raises(LabelStudioConfused, match="larger than"):
        talk(
            plain(gzip.compress(b" " * 50_000_000), "Content-Encoding: gzip"),
            members,
            timeout_s=20,
            rules=rules,
        )


def test_odd_results_of_people_do_not_stop_the_rest():
    deep = "x"
    for _ in range(200):
        deep = [deep]
    annotations = [
        an_answer(id=1, result=[{"type": "choices", "value": {"choices": ["a\x00b\ud800"]}}]),
        an_answer(id=2, result=[{"value": deep}]),
        an_answer(id=3, lead_time=HUGE),
        an_answer(id=4, result="text", unique_id=5),
        an_answer(id=5, lead_time=-3),
    ]
    (found,) = talk(answering({"tasks": [a_task(annotations=annotations)]}), read)
    by_id = {one.annotation_id: one for one in found.annotations}
    assert by_id[1].result == [{"type": "choices", "value": {"choices": ["a\ufffdb\ufffd"]}}]
    assert by_id[2].result == by_id[4].result == []
    assert by_id[3].lead_time_s is None
    assert by_id[4].unique_id is None
    assert by_id[5].lead_time_s == -3


def test_a_version_of_any_length_is_cut():
    info = {"release": "1.23." + "9" * 10_000, "id": 1, "email": "a\x00@example.com"}
    found = talk(answering(info), lambda client: client.probe())
    assert len(found.version) == 40
    assert "\x00" not in found.user_email


@pytest.mark.parametrize(
    "url",
    [
        "http://10.0.0.1",
        "http://169.254.169.254/latest",
        "http://[::ffff:10.0.0.1]",
        "http://127.1",
        "http://x:5432",
    ],
)
def test_an_address_that_can_never_be_called_is_rejected_at_once(url):
    with pytest.raises(LabelStudioRejected):
        LabelStudioClient(url, TOKEN)


def test_a_name_that_leads_home_is_refused_when_it_is_called(monkeypatch):
    monkeypatch.setattr("socket.getaddrinfo", lambda *_, **__: [(2, 1, 6, "", ("10.0.0.1", 80))])
    with LabelStudioClient("http://labels.example.com", TOKEN) as client:
        with pytest.raises(LabelStudioUnavailable, match="public internet"):
            client.members()


def test_every_error_is_one_of_ours():
    for _, script, call, _ in LIES[:10]:
        with pytest.raises(LabelStudioError):
            talk(script, call)
