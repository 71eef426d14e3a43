"""2,000 annotated tasks read back by our client, against one call per task.

    python -m tests.benchmarks.read --json

Exit status 1 when ours is less than 10 times as fast, measured in the same run on the same server.
"""

import sys
from statistics import median

import httpx

from integrations.label_studio.client import LabelStudioClient
from integrations.label_studio.interface import MODEL_VERSION
from tests.benchmarks.label_studio_bench import Clock, finish, new_lane, say, server_and_client, tasks
from tests.label_studio_server import TestServer

N = 2_000
SAMPLE = 100
FLOOR = 10.0


def annotated_lane(server: TestServer, client: LabelStudioClient) -> tuple[int, list[int]]:
    """A lane whose every task has an annotation."""
    lane = new_lane(client)
    made = client.push(lane, tasks(N))
    say("annotating …")
    answer = httpx.post(
        f"{server.url}/api/dm/actions",
        params={"id": "predictions_to_annotations", "project": lane},
        json={"selectedItems": {"all": True, "excluded": []}, "model_version": MODEL_VERSION},
        headers={"Authorization": f"Token {server.token}"},
        timeout=300,
        trust_env=False,
    )
    answer.raise_for_status()
    return lane, sorted(made.values())


def ours(client: LabelStudioClient, lane: int) -> float:
    """Tasks a second: what has changed, then those tasks with their annotations."""
    clock = Clock()
    stamps = client.changed_tasks(lane, None)
    answers = client.read_tasks(lane, [stamp.task_id for stamp in stamps])
    rate = len(answers) / clock()
    if sum(len(one.annotations) for one in answers) != N:
        raise SystemExit("not every annotation came back")
    return rate


def one_call_each(server: TestServer, task_ids: list[int]) -> float:
    """Tasks a second with one call per task over one kept connection."""
    headers = {"Authorization": f"Token {server.token}"}
    with httpx.Client(base_url=server.url, headers=headers, timeout=60, trust_env=False) as http:
        clock = Clock()
        for task_id in task_ids[:: N // SAMPLE]:
            http.get(f"/api/tasks/{task_id}/").raise_for_status()
        return SAMPLE / clock()


def main() -> int:
    """Measures both ways three times, one after the other; the median of the three ratios counts."""
    bulk: list[float] = []
    single: list[float] = []
    with server_and_client() as (server, client):
        lane, task_ids = annotated_lane(server, client)
        for turn in (1, 2, 3):
            single.append(one_call_each(server, task_ids))
            bulk.append(ours(client, lane))
            say(f"turn {turn}: {single[-1]:.1f} tasks/s one by one, {bulk[-1]:.0f} tasks/s in bulk")
    report = {
        "tasks": N,
        "sample": SAMPLE,
        "bulk_tasks_per_s": round(median(bulk), 1),
        "single_tasks_per_s": round(median(single), 2),
    }
    return finish("read", report, ratio=median(a / b for a, b in zip(bulk, single, strict=True)), floor=FLOOR)


if __name__ == "__main__":
    sys.exit(main())
