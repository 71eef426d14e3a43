import json
from collections.abc import Callable

import httpx
import pytest

from workbench.demo.dataset import RatedText
from workbench.demo.replay import Account, Dealer
from workbench.demo.replay_session import Lane, ServedTask, Session, SignInRefused, Stopped, is_for, read_lane

LANE = Lane(5, "Lane", "sentiment", "text", "text", {"positive": "Positive", "negative": "Negative"})
CONTROL = {
    "type": "Choices",
    "to_name": ["text"],
    "inputs": [{"type": "Text", "value": "text"}],
    "labels": ["Positive", "Neutral", "Negative"],
}
NAMES = frozenset({"ana lima", "ana@example.com"})


class Waits:
    """Counts the waiting, and says stop after `n` waits."""

    def __init__(self, n: int = 100) -> None:
        self.n = n
        self.seconds: list[float] = []

    def __bool__(self) -> bool:
        return len(self.seconds) >= self.n

    def wait(self, seconds: float) -> None:
        self.seconds.append(seconds)


def session(answer: Callable[[httpx.Request], httpx.Response], waits: Waits | None = None) -> Session:
    transport = httpx.MockTransport(answer)
    return Session("http://ls", "ana@example.com", "right", Waits() if waits is None else waits, transport)


@pytest.mark.parametrize(
    ("description", "expected"),
    [
        ("For: Ana Lima, Ben Okafor", True),
        ("Posts of May\nfor: ben okafor,  ANA  LIMA", True),
        ("<p>Posts</p><p>For: ana@example.com</p>", True),
        ("For: Ana Limanova", False),
        ("Ask Ana Lima. For: Ben Okafor", False),
        ("", False),
    ],
)
def test_a_description_names_its_people(description, expected):
    assert is_for(description, NAMES) is expected


def test_a_lane_is_read_from_the_label_config():
    project = {"id": 5, "title": "Lane", "parsed_label_config": {"sentiment": CONTROL}}
    lane = read_lane(project)
    assert lane is not None
    assert (lane.id, lane.control, lane.target, lane.data_key) == (5, "sentiment", "text", "text")
    assert lane.labels["neutral"] == "Neutral"


@pytest.mark.parametrize(
    "config", [None, {}, {"x": CONTROL | {"labels": ["Yes", "No"]}}, {"x": {"type": "Labels"}}]
)
def test_a_lane_that_no_vote_fits_is_left_out(config):
    assert read_lane({"id": 5, "title": "Lane", "parsed_label_config": config}) is None


def test_it_signs_in_when_asked_to_and_reads_its_names():
    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.path == "/user/login/":
            if request.method == "GET":
                return httpx.Response(200, headers={"set-cookie": "csrftoken=token; Path=/"})
            assert b"csrfmiddlewaretoken=token" in request.content
            return httpx.Response(302, headers={"location": "/", "set-cookie": "sessionid=me; Path=/"})
        if "sessionid=me" not in request.headers.get("cookie", ""):
            return httpx.Response(401)
        me = {"first_name": "Ana", "last_name": "Lima", "email": "Ana@example.com", "username": "ana"}
        return httpx.Response(200, json=me)

    assert session(answer).own_names() == {"ana lima", "ana", "ana@example.com"}


def test_a_wrong_password_is_an_error_without_the_password():
    def answer(request: httpx.Request) -> httpx.Response:
        return httpx.Response(200 if request.url.path == "/user/login/" else 401)

    with pytest.raises(SignInRefused, match=r"ana@example\.com") as caught:
        session(answer).own_names()
    assert "right" not in str(caught.value)


def test_lanes_come_by_title_from_every_page():
    def answer(request: httpx.Request) -> httpx.Response:
        page = int(request.url.params["page"])
        title = {1: "B", 2: "A"}[page]
        project = {"id": page, "title": title, "description": "For: Ana Lima"}
        project["parsed_label_config"] = {"sentiment": CONTROL}
        other = {**project, "id": 9, "description": "For: Ben"}
        return httpx.Response(200, json={"results": [project, other], "next": "more" if page == 1 else None})

    assert [lane.title for lane in session(answer).lanes(NAMES)] == ["A", "B"]


def test_an_answer_is_repeated_under_the_same_id_until_the_server_has_it():
    seen = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(json.loads(request.content))
        if len(seen) == 1:
            raise httpx.ConnectError("down")
        return httpx.Response({2: 502, 3: 409}[len(seen)])

    waits = Waits()
    it = session(answer, waits)
    assert it.answer(ServedTask(7, LANE, "text", 0.0), "negative") == "answered"
    assert len({body["unique_id"] for body in seen}) == 1
    assert seen[0]["result"][0]["value"] == {"choices": ["Negative"]}
    assert seen[0]["lead_time"] > 0
    assert it.retries == 2
    assert waits.seconds == [0.5, 1.0]


@pytest.mark.parametrize(("status", "outcome"), [(201, "skipped"), (404, "withdrawn"), (400, "refused")])
def test_a_skip_tells_what_became_of_it(status, outcome):
    it = session(lambda _: httpx.Response(status))
    assert it.skip(ServedTask(7, LANE, "text", 0.0)) == outcome


def test_a_server_that_stays_down_does_not_outlive_the_end():
    def answer(_: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("down")

    with pytest.raises(Stopped):
        session(answer, Waits(3)).next_task(LANE)


def test_a_lane_with_an_unknown_text_is_set_aside():
    served = []

    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.path.endswith("whoami"):
            return httpx.Response(200, json={"email": "ana@example.com"})
        if request.url.path.endswith("/next"):
            served.append(request.url.path)
            return httpx.Response(200, json={"id": 1, "data": {"text": "never rated"}})
        project = {"id": 5, "title": "L", "description": "For: ana@example.com"}
        project["parsed_label_config"] = {"sentiment": CONTROL}
        return httpx.Response(200, json={"results": [project], "next": None})

    waits = Waits(2)
    rated = RatedText("news", "1", "rated", (1,), 1.0)
    account = Account(session(answer, waits), Dealer([rated], account=0, accounts=1), waits, 0.0)
    account.work()
    assert account.counts == {"unknown": 1}
    assert len(served) == 1
