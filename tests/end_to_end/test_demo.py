"""The demo as a stranger runs it: killed in the middle, resumed, its figures the same everywhere."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from integrations.label_studio.server import free_port
from tests.conftest import _no_label_studio
from tests.integration.web.clients import client_as
from workbench.outside import outside_of
from workbench.settings import load_settings

ROOT = Path(__file__).resolve().parents[2]
KEYS = [
    "items", "predicted", "accepted", "sent_to_people", "audited", "annotations_received", "above_overlap",
    "annotators", "resolved", "agreement_alpha", "agreement_n", "model_human_agreement", "cost_total", "currency",
    "saved_share", "error_vs_reference", "items_per_hour", "label_studio_version", "seconds",
]  # fmt: skip
ITEMS = 300


def start_demo(folder: Path, ports: tuple[int, int]) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [
            sys.executable,
            "-m",
            "workbench.cli.main",
            "demo",
            "--exit",
            "--json",
            "--items",
            str(ITEMS),
            "--data-dir",
            str(folder),
            "--port",
            str(ports[0]),
            "--label-studio-port",
            str(ports[1]),
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    )


def processes_of(folder: Path) -> list[int]:
    """Processes that name the folder in their command line or environment."""
    found = []
    needle = str(folder).encode()
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        try:
            told = (entry / "cmdline").read_bytes() + (entry / "environ").read_bytes()
        except OSError:
            continue
        if needle in told:
            found.append(int(entry.name))
    return found


@pytest.mark.label_studio
def test_a_killed_demo_leaves_no_orphan_and_the_next_one_goes_on(tmp_path: Path) -> None:
    folder = tmp_path / "demo-folder"
    ports = (free_port(), free_port())
    first = start_demo(folder, ports)
    assert first.stderr is not None
    for line in first.stderr:
        if "People label" in line:
            break
    time.sleep(6)
    first.send_signal(signal.SIGKILL)
    first.communicate()
    deadline = time.monotonic() + 45
    while processes_of(folder) and time.monotonic() < deadline:
        time.sleep(0.5)
    assert processes_of(folder) == []

    second = start_demo(folder, ports)
    out, err = second.communicate(timeout=400)
    assert second.returncode == 0, err[-2000:]
    figures = json.loads(out.strip().splitlines()[-1])
    assert sorted(figures) == sorted(KEYS)
    assert figures["items"] == figures["resolved"] == ITEMS
    assert figures["predicted"] == ITEMS - ITEMS // 6
    assert figures["accepted"] + figures["sent_to_people"] == ITEMS
    assert figures["annotators"] <= 6
    assert figures["label_studio_version"] == "1.23.2"
    check_that_the_page_says_the_same(folder, figures)


def check_that_the_page_says_the_same(folder: Path, figures: dict[str, Any]) -> None:
    outside = outside_of(load_settings(data_dir=folder), label_studio=_no_label_studio)  # type: ignore[arg-type]
    try:
        client: TestClient = client_as(outside, "admin")
        shown = client.get("/api/v1/projects/sentiment-demo/figures").json()
        for key in KEYS:
            if key not in {"seconds", "label_studio_version"}:
                assert shown[key] == figures[key], key
        page = client.get("/projects/sentiment-demo").text
        assert f"{figures['resolved']:,}" in page
        assert "Replay" in page
    finally:
        outside.db.close()
