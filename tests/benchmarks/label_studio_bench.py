"""What the two Label Studio benchmarks share: a server, tasks, a clock, the printed result."""

import argparse
import contextlib
import json
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path

from integrations.label_studio.client import LabelStudioClient
from integrations.label_studio.convert import to_result
from integrations.label_studio.interface import LaneSpec, NewTask
from integrations.label_studio.label_config import LabelOption, choices_config, parse
from tests.label_studio_server import TestServer, running_server

CONFIG = parse(
    choices_config(
        [LabelOption("positive"), LabelOption("negative"), LabelOption("neutral")],
        question="How does it sound?",
    )
)
TEXT = "A film that takes its time, and gives it back with interest by the end of the second hour."


def say(line: str) -> None:
    """Progress, on standard error."""
    print(line, file=sys.stderr, flush=True)


@contextlib.contextmanager
def server_and_client() -> Iterator[tuple[TestServer, LabelStudioClient]]:
    """A fresh real server."""
    say("starting Label Studio …")
    with tempfile.TemporaryDirectory() as folder, running_server(Path(folder) / "data") as server:
        with server.client(timeout_s=120) as client:
            yield server, client


def new_lane(client: LabelStudioClient) -> int:
    """An empty lane."""
    return client.create_lane(LaneSpec(f"bench:{uuid.uuid4().hex}", "Benchmark lane", CONFIG.xml))


def tasks(n: int) -> list[NewTask]:
    """Tasks with predictions."""
    result = to_result(CONFIG, ["positive"], 0.7)
    return [
        NewTask(f"visit-{i}", f"item-{i}", {"text": f"{TEXT} {i}"}, i / n, "model", result) for i in range(n)
    ]


class Clock:
    """Seconds since it was made."""

    def __init__(self) -> None:
        self._began = time.perf_counter()

    def __call__(self) -> float:
        return time.perf_counter() - self._began


def finish(name: str, figures: Mapping[str, float | int | str], *, ratio: float, floor: float) -> int:
    """Prints the result, the last line as JSON where asked; 1 below the floor."""
    parser = argparse.ArgumentParser(prog=f"python -m tests.benchmarks.{name}")
    parser.add_argument("--json", action="store_true", help="one JSON object as the last line")
    given = parser.parse_args()
    ok = ratio >= floor
    report = {"benchmark": name, **figures} | {"ratio": round(ratio, 1), "floor": floor, "ok": ok}
    say(", ".join(f"{key}: {value}" for key, value in report.items()))
    if given.json:
        print(json.dumps(report), flush=True)
    return 0 if ok else 1
