import json

import httpx
import pytest

from integrations.label_studio.client import LabelStudioClient
from integrations.label_studio.errors import (
    LabelStudioConfused,
    LabelStudioRefused,
    LabelStudioRejected,
    LabelStudioUnavailable,
)
from integrations.label_studio.transport import Transport

SECRET = "0123456789abcdef0123456789abcdef01234567"
PERSONAL = "eyJhbGciOiJ.eyJ0b2tlbl90eXBl.c2lnbmF0dXJl"


def answering(handler):
    return httpx.Client(transport=httpx.MockTransport(handler))


def call(handler, token=SECRET):
    with answering(handler) as http:
        return Transport("http://ls.example.com/", token, timeout_s=5, http=http).call(
            "GET", "/api/x?secret=1"
        )


def test_a_legacy_token_is_sent_as_such():
    seen = []
    assert call(lambda request: seen.append(request) or httpx.Response(200, json=[1])) == [1]
    assert seen[0].headers["Authorization"] == f"Token {SECRET}"
    assert "cookie" not in seen[0].headers


def test_a_personal_token_is_traded_for_an_access_token_once():
    paths = []

    def handler(request):
        paths.append(request.url.path)
        if request.url.path == "/api/token/refresh/":
            assert json.loads(request.content) == {"refresh": PERSONAL}
            return httpx.Response(200, json={"access": "short"})
        assert request.headers["Authorization"] == "Bearer short"
        return httpx.Response(200, json={})

    with answering(handler) as http:
        transport = Transport("http://ls.example.com", PERSONAL, timeout_s=5, http=http)
        transport.call("GET", "/a")
        transport.call("GET", "/b")
    assert paths == ["/api/token/refresh/", "/a", "/b"]


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (401, LabelStudioRefused),
        (403, LabelStudioRefused),
        (400, LabelStudioRejected),
        (404, LabelStudioRejected),
        (409, LabelStudioRejected),
        (429, LabelStudioUnavailable),
        (500, LabelStudioUnavailable),
        (503, LabelStudioUnavailable),
        (302, LabelStudioConfused),
    ],
)
def test_each_status_has_its_error_without_secrets(status, error):
    body = {"detail": "item text", "validation_errors": {"data": ["item text"], "odd name": 1}}
    with pytest.raises(error) as caught:
        call(lambda _: httpx.Response(status, json=body, headers={"Location": "http://evil.example.com"}))
    message = str(caught.value)
    assert SECRET not in message
    assert "item text" not in message
    assert "secret=1" not in message
    if isinstance(caught.value, LabelStudioRejected):
        assert caught.value.status == status
        assert "fields data)" in message


@pytest.mark.parametrize(
    "failure",
    [
        httpx.ConnectError("x"),
        httpx.ReadTimeout("x"),
        httpx.RemoteProtocolError("x"),
        httpx.ConnectTimeout("x"),
        OSError("x"),
    ],
)
def test_every_broken_connection_is_unavailable(failure):
    def handler(_):
        raise failure

    with pytest.raises(LabelStudioUnavailable, match="by itself"):
        call(handler)


def test_an_answer_that_is_no_json_is_confusing():
    with pytest.raises(LabelStudioConfused, match="not JSON"):
        call(lambda _: httpx.Response(200, text="<html>"))
    assert call(lambda _: httpx.Response(204)) is None


@pytest.mark.parametrize(
    "url",
    [
        "",
        "ftp://x",
        "ls.example.com",
        "http://",
        "http://u:p@x",
        "http://x/?a=1",
        "http://x/#a",
        "http://\x00",
    ],
)
def test_odd_addresses_are_refused(url):
    with pytest.raises(LabelStudioRejected, match="must look like"):
        LabelStudioClient(url, SECRET)


@pytest.mark.parametrize("token", ["", " ", "a b", "tökn", "a\nb"])
def test_odd_tokens_are_refused_and_not_repeated(token):
    with pytest.raises(LabelStudioRefused) as caught:
        LabelStudioClient("http://ls.example.com", token)
    assert not token.strip() or token not in str(caught.value)


def test_an_answer_that_trickles_in_is_given_up():
    class Slow(httpx.SyncByteStream):
        def __iter__(self):
            while True:
                yield b" " * 70_000

    with answering(lambda _: httpx.Response(200, stream=Slow())) as http:
        transport = Transport("http://ls.example.com", SECRET, timeout_s=0.05, http=http)
        with pytest.raises(LabelStudioUnavailable, match="did not answer within"):
            transport.call("GET", "/x")
