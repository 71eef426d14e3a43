import os
import signal
import socket
import subprocess
import sys
import threading
import time

import httpx
import pytest

from integrations.label_studio.client import LabelStudioClient
from integrations.label_studio.errors import LocalServerFailed, PortTaken
from integrations.label_studio.server import (
    LocalServerSpec,
    free_port,
    is_running,
    new_token,
    prepare,
    start,
    stop,
)
from tests.label_studio_server import PASSWORD, PYTHON, ROOT, TEMPLATE

pytestmark = pytest.mark.label_studio


def spec(data_dir, **more):
    prepare(TEMPLATE, PYTHON)
    given = {
        "data_dir": data_dir,
        "port": free_port(),
        "python": PYTHON,
        "admin_email": "owner@example.com",
        "admin_password": PASSWORD,
        "admin_token": new_token(),
        "template_dir": TEMPLATE,
        "workers": 1,
    }
    return LocalServerSpec(**given | more)


def group_is_gone(pid, within_s=15.0):
    until = time.monotonic() + within_s
    while time.monotonic() < until:
        if not is_running(pid):
            return True
        time.sleep(0.1)
    return False


def test_starts_stops_and_starts_again_on_its_data(tmp_path):
    first = spec(tmp_path / "data")
    began = time.monotonic()
    running = start(first)
    assert time.monotonic() - began < 60
    with LabelStudioClient(running.url, first.admin_token) as client:
        assert client.probe().user_email == "owner@example.com"
    stop(running.pid)
    assert not is_running(running.pid)
    stop(running.pid)
    with pytest.raises(httpx.TransportError):
        httpx.get(f"{running.url}/health", trust_env=False)
    # Credentials belong to the folder's first start; another port and other credentials change nothing.
    again = start(spec(tmp_path / "data", admin_email="other@example.com"))
    with LabelStudioClient(again.url, first.admin_token) as client:
        assert [one.email for one in client.members()] == ["owner@example.com"]
    stop(again.pid)
    log = first.log.read_text()
    assert first.admin_token not in log
    assert PASSWORD not in log


def test_secrets_are_not_on_the_command_line_and_the_files_are_ours_alone(label_studio_server):
    shown = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True).stdout
    assert "gunicorn" in shown
    assert label_studio_server.token not in shown
    assert label_studio_server.admin_password not in shown
    for name in ("", "label_studio.sqlite3", ".env"):
        assert (label_studio_server.data_dir / name).stat().st_mode & 0o077 == 0


def test_each_folder_has_its_own_secret_key(label_studio_server, tmp_path):
    assert not (TEMPLATE / ".env").exists()
    assert "SECRET_KEY" in (label_studio_server.data_dir / ".env").read_text()


def test_a_taken_port_is_refused_and_named(tmp_path):
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(PortTaken, match=f"port {port} .* choose another port"):
            start(spec(tmp_path / "data", port=port))
    assert not (tmp_path / "data").exists()


def test_a_server_that_cannot_start_names_its_log(tmp_path):
    wanted = spec(tmp_path / "data")
    wanted.data_dir.mkdir()
    (wanted.data_dir / "label_studio.sqlite3").write_bytes(b"this is no database" * 100)
    with pytest.raises(LocalServerFailed, match=str(wanted.log)):
        start(wanted)


def test_a_missing_environment_says_what_to_run(tmp_path):
    with pytest.raises(LocalServerFailed, match="make bootstrap"):
        start(spec(tmp_path / "data", python=tmp_path / "no" / "python"))


def test_it_outlives_the_thread_that_started_it_and_its_workers_do_not_outlive_it(tmp_path):
    started = []
    thread = threading.Thread(target=lambda: started.append(start(spec(tmp_path / "data"))))
    thread.start()
    thread.join()
    time.sleep(1.5)
    assert is_running(started[0].pid)
    os.kill(started[0].pid, signal.SIGKILL)
    assert group_is_gone(started[0].pid)
    stop(started[0].pid)


def test_no_orphan_stays_when_the_parent_is_killed(tmp_path):
    code = (
        "import sys, time; sys.path.insert(0, sys.argv[1])\n"
        "from pathlib import Path\n"
        "from tests.contracts.label_studio.test_local_server import spec, start\n"
        "print(start(spec(Path(sys.argv[2]))).pid, flush=True)\n"
        "time.sleep(120)\n"
    )
    parent = subprocess.Popen(
        [sys.executable, "-c", code, str(ROOT), str(tmp_path / "data")],
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    )
    assert parent.stdout is not None
    pid = int(parent.stdout.readline())
    assert is_running(pid)
    os.kill(parent.pid, signal.SIGKILL)
    parent.wait()
    parent.stdout.close()
    assert group_is_gone(pid)


def test_private_addresses_stay_closed_to_members(label_studio, label_studio_server, lane, ann):
    answer = ann.post("/api/webhooks/", json={"project": lane, "url": f"{label_studio_server.url}/health"})
    assert answer.status_code >= 400


def test_nobody_signs_up_without_an_invitation(label_studio_server):
    with httpx.Client(base_url=label_studio_server.url, trust_env=False) as browser:
        page = browser.get("/user/signup/")
        token = page.text.partition('name="csrfmiddlewaretoken" value="')[2].partition('"')[0]
        form = {"csrfmiddlewaretoken": token, "email": "stranger@example.com", "password": PASSWORD}
        assert browser.post("/user/signup/", data=form).status_code == 403
