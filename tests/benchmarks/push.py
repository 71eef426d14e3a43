"""2,000 tasks with predictions pushed by our client, against one SDK call per task and per prediction.

    python -m tests.benchmarks.push --json

Exit status 1 when ours is less than 30 times as fast, measured in the same run on the same server.
"""

import sys
from statistics import median

from label_studio_sdk import LabelStudio

from integrations.label_studio.client import LabelStudioClient
from integrations.label_studio.interface import MODEL_VERSION
from tests.benchmarks.label_studio_bench import Clock, finish, new_lane, say, server_and_client, tasks
from tests.label_studio_server import TestServer

N = 2_000
SAMPLE = 60
FLOOR = 30.0


def one_call_each(server: TestServer, client: LabelStudioClient) -> float:
    """Tasks a second with the SDK: one call for the task, one for its prediction."""
    lane = new_lane(client)
    sdk = LabelStudio(base_url=server.url, api_key=server.token)  # type: ignore[no-untyped-call]
    sdk.tasks.create(project=lane, data={"text": "warm-up"})
    clock = Clock()
    for task in tasks(SAMPLE):
        data = task.data | {"wb_item_id": task.item_key, "wb_visit": task.visit_key}
        made = sdk.tasks.create(project=lane, data=data)
        sdk.predictions.create(
            task=made.id, result=task.result, score=task.queue_score, model_version=MODEL_VERSION
        )
    rate = SAMPLE / clock()
    client.delete_lane(lane)
    return rate


def in_bulk(client: LabelStudioClient) -> float:
    """Tasks a second with our client, the tasks counted afterwards."""
    lane = new_lane(client)
    wanted = tasks(N)
    clock = Clock()
    made = client.push(lane, wanted)
    rate = N / clock()
    if client.task_ids(lane) != set(made.values()) or len(made) != N:
        raise SystemExit("the lane does not have the tasks that were pushed")
    client.delete_lane(lane)
    return rate


def main() -> int:
    """Measures both ways three times, one after the other; the median of the three ratios counts."""
    ours: list[float] = []
    theirs: list[float] = []
    with server_and_client() as (server, client):
        for turn in (1, 2, 3):
            theirs.append(one_call_each(server, client))
            ours.append(in_bulk(client))
            say(f"turn {turn}: {theirs[-1]:.1f} tasks/s one by one, {ours[-1]:.0f} tasks/s in bulk")
    report = {
        "tasks": N,
        "sample": SAMPLE,
        "bulk_tasks_per_s": round(median(ours), 1),
        "sdk_tasks_per_s": round(median(theirs), 2),
    }
    return finish("push", report, ratio=median(a / b for a, b in zip(ours, theirs, strict=True)), floor=FLOOR)


if __name__ == "__main__":
    sys.exit(main())
