import uuid
from collections.abc import Callable, Iterator

import httpx
import pytest

from integrations.label_studio.client import LabelStudioClient
from integrations.label_studio.interface import LaneSpec, NewTask
from integrations.label_studio.label_config import LabelConfig, LabelOption, choices_config, parse
from tests.label_studio_server import TestServer

LaneMaker = Callable[..., int]


@pytest.fixture(scope="session")
def config() -> LabelConfig:
    return parse(
        choices_config(
            [LabelOption("positive", "Positive"), LabelOption("negative"), LabelOption("neutral")],
            question="How does the writer feel?",
        )
    )


@pytest.fixture
def make_lane(label_studio: LabelStudioClient, config: LabelConfig) -> Iterator[LaneMaker]:
    made: list[int] = []

    def make(*, overlap: int = 1, key: str | None = None) -> int:
        spec = LaneSpec(
            key or f"test:{uuid.uuid4().hex}",
            "Reviews, first pool",
            config.xml,
            overlap,
            "Read, then choose.",
            "Reviews",
        )
        made.append(label_studio.create_lane(spec))
        return made[-1]

    yield make
    for lane in made:
        label_studio.delete_lane(lane)


@pytest.fixture
def lane(make_lane: LaneMaker) -> int:
    return make_lane()


@pytest.fixture(scope="session")
def ann(label_studio_server: TestServer) -> Iterator[httpx.Client]:
    _, email = label_studio_server.new_member("Ann")
    with label_studio_server.sign_in(email) as browser:
        yield browser


@pytest.fixture(scope="session")
def ben(label_studio_server: TestServer) -> Iterator[httpx.Client]:
    _, email = label_studio_server.new_member("Ben")
    with label_studio_server.sign_in(email) as browser:
        yield browser


def task(number: int, score: float | None = None, *, result=None, model_version: str = "model-1") -> NewTask:
    return NewTask(
        visit_key=f"visit-{number}",
        item_key=f"item-{number}",
        data={"text": f"text {number}"},
        queue_score=number if score is None else score,
        model_version=model_version,
        result=result or [],
    )


def user_id(browser: httpx.Client) -> int:
    return browser.get("/api/current-user/whoami").json()["id"]


def answer_body(label: str = "positive", **more) -> dict:
    region = {
        "id": "r1",
        "from_name": "label",
        "to_name": "item",
        "type": "choices",
        "value": {"choices": [label]},
    }
    return {"result": [region], "lead_time": 2.5} | more


def annotate(browser: httpx.Client, task_id: int, label: str = "positive", **more) -> int:
    answer = browser.post(f"/api/tasks/{task_id}/annotations/", json=answer_body(label, **more))
    assert answer.status_code == 201, answer.text
    return answer.json()["id"]


def next_task(browser: httpx.Client, lane: int) -> dict | None:
    answer = browser.get(f"/api/projects/{lane}/next")
    return None if answer.status_code == 404 else answer.json()
