"""A person's browser session with Label Studio: sign in, see one's lanes, take a task, answer it."""

import html
import re
import sys
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import httpx

TIMEOUT_S = 60.0
BACKOFF_S = (0.5, 8.0)  # first and longest wait before a request is sent again


class SignInRefused(Exception):
    """Label Studio does not accept the e-mail address and password."""


class Stopped(Exception):
    """The end came while waiting for Label Studio."""


class Waiting(Protocol):
    """True when the end has come; waits no longer than until then."""

    def __bool__(self) -> bool:
        """Whether the end has come."""

    def wait(self, seconds: float) -> None:
        """Returns after `seconds`, or as soon as the end has come."""


@dataclass(frozen=True)
class Lane:
    """A Label Studio project with one choice to make on one text.

    Attributes:
        id: Label Studio's number of the project.
        title: People see it; lanes are walked in its order.
        control: Name of the choices in the labeling page (from_name).
        target: Name of what is labeled there (to_name).
        data_key: Where the text stands in a task's data.
        labels: The choices by their name in lower case.
    """

    id: int
    title: str
    control: str
    target: str
    data_key: str
    labels: Mapping[str, str]


@dataclass(frozen=True)
class ServedTask:
    """A task that the queue gave to this account.

    Attributes:
        id: Label Studio's number of the task.
        lane: Where it stands.
        text: To be labeled.
        served_at: When it came, on the monotonic clock.
    """

    id: int
    lane: Lane
    text: str
    served_at: float


class Session:
    """One signed-in account; each request is repeated while the server does not answer."""

    def __init__(
        self,
        address: str,
        email: str,
        password: str,
        stopping: Waiting,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self.name = ""
        self.retries = 0
        self._email = email
        self._password = password
        self._stopping = stopping
        # Settings for proxies are for the outside; Label Studio's address is taken as it is.
        self._http = httpx.Client(base_url=address, timeout=TIMEOUT_S, trust_env=False, transport=transport)

    def close(self) -> None:
        """Ends the connections."""
        self._http.close()

    def own_names(self) -> frozenset[str]:
        """What a lane's description may call this account, in lower case: full name, user name, e-mail."""
        me = self._call("GET", "/api/current-user/whoami").json()
        self.name = f"{me.get('first_name') or ''} {me.get('last_name') or ''}".strip() or me["email"]
        names = (self.name, me.get("username") or "", me["email"])
        return frozenset(" ".join(name.split()).casefold() for name in names if name)

    def lanes(self, names: frozenset[str]) -> list[Lane]:
        """The lanes whose description names this account, by title."""
        found: list[Lane] = []
        page = 1
        while True:
            wanted = "id,title,description,parsed_label_config"
            answer = self._call(
                "GET", "/api/projects", params={"page": page, "page_size": 100, "include": wanted}
            ).json()
            for project in answer["results"]:
                lane = read_lane(project) if is_for(project.get("description") or "", names) else None
                if lane is not None:
                    found.append(lane)
            if not answer.get("next"):
                return sorted(found, key=lambda lane: (lane.title, lane.id))
            page += 1

    def next_task(self, lane: Lane) -> ServedTask | None:
        """What the lane's queue serves, or None when it is empty for this account or gone."""
        response = self._call("GET", f"/api/projects/{lane.id}/next")
        served_at = time.monotonic()
        if response.status_code != httpx.codes.OK:
            return None
        task = response.json()
        return ServedTask(int(task["id"]), lane, str(task["data"].get(lane.data_key, "")), served_at)

    def answer(self, task: ServedTask, label: str) -> str:
        """Submits a choice: `answered`, or `withdrawn` or `refused` when Label Studio would not have it."""
        choice = {
            "id": uuid.uuid4().hex[:10],
            "from_name": task.lane.control,
            "to_name": task.lane.target,
            "type": "choices",
            "value": {"choices": [task.lane.labels[label]]},
            "origin": "manual",
        }
        return self._submit(task, {"result": [choice]}, "answered")

    def skip(self, task: ServedTask) -> str:
        """Leaves the task to others: `skipped`, or `withdrawn` or `refused`."""
        return self._submit(task, {"result": [], "was_cancelled": True}, "skipped")

    def _submit(self, task: ServedTask, answer: dict[str, Any], done: str) -> str:
        body = {
            **answer,
            "project": task.lane.id,
            # The same on every repeat: Label Studio answers 409 to the second one instead of doubling it.
            "unique_id": str(uuid.uuid4()),
            "lead_time": round(time.monotonic() - task.served_at, 6),
        }
        response = self._call("POST", f"/api/tasks/{task.id}/annotations/", json=body)
        if response.is_success or response.status_code == httpx.codes.CONFLICT:
            return done
        if response.status_code == httpx.codes.NOT_FOUND:
            return "withdrawn"
        _tell(f"Label Studio refused an answer to task {task.id} with {response.status_code}")
        return "refused"

    def _call(self, method: str, path: str, **options: Any) -> httpx.Response:
        response = self._send(method, path, **options)
        if response.status_code in {httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN}:
            self._sign_in()
            response = self._send(method, path, **options)
            if response.status_code == httpx.codes.UNAUTHORIZED:
                raise SignInRefused(f"Label Studio drops the sign-in of {self._email}; use --fresh")
        return response

    def _sign_in(self) -> None:
        self._http.cookies.clear()
        self._send("GET", "/user/login/")
        form = {
            "email": self._email,
            "password": self._password,
            "csrfmiddlewaretoken": self._http.cookies.get("csrftoken") or "",
        }
        if not self._send("POST", "/user/login/", data=form).is_redirect:
            raise SignInRefused(
                f"Label Studio refuses the sign-in of {self._email}; run the demo with --fresh"
            )

    def _send(self, method: str, path: str, **options: Any) -> httpx.Response:
        """The server's answer; one that is down, overloaded or failing is asked again, ever more slowly."""
        wait_s, longest_s = BACKOFF_S
        while True:
            try:
                response = self._http.request(method, path, **options)
                trouble = f"answers {response.status_code}"
                if not response.is_server_error and response.status_code != httpx.codes.TOO_MANY_REQUESTS:
                    return response
            except httpx.TransportError as error:
                trouble = f"cannot be reached ({type(error).__name__})"
            if self._stopping:
                raise Stopped
            if wait_s == BACKOFF_S[0]:
                _tell(f"Label Studio {trouble}; trying again")
            self.retries += 1
            self._stopping.wait(wait_s)
            wait_s = min(wait_s * 2, longest_s)


def is_for(description: str, names: frozenset[str]) -> bool:
    """Whether a line `For: Ana Lima, Ben Okafor` of a project's description names one of `names`."""
    for line in re.split(r"[\r\n]|<[^>]*>", html.unescape(description)):
        word, colon, people = line.partition(":")
        if colon and word.strip().casefold() == "for":
            return any(" ".join(person.split()).casefold() in names for person in people.split(","))
    return False


def read_lane(project: Mapping[str, Any]) -> Lane | None:
    """The lane in a project's JSON, or None where a vote fits no choice of the labeling page."""
    for name, control in (project.get("parsed_label_config") or {}).items():
        labels = {str(label).casefold(): str(label) for label in control.get("labels") or ()}
        if control.get("type") == "Choices" and {"positive", "neutral", "negative"} <= set(labels):
            data_key = str(control["inputs"][0]["value"]).removeprefix("$")
            title = str(project.get("title") or "")
            return Lane(int(project["id"]), title, name, str(control["to_name"][0]), data_key, labels)
    return None


def _tell(message: str) -> None:
    print(f"replay account: {message}", file=sys.stderr, flush=True)  # noqa: T201 - a program's standard error
