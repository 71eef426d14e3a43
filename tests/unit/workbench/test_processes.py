import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from workbench.errors import Conflict
from workbench.processes import Lock, check_port


def test_a_second_one_is_told_who_is_there(tmp_path):
    path = tmp_path / "data" / "serve.lock"
    first = Lock(path, "the workbench")
    with pytest.raises(
        Conflict, match=rf"the workbench already runs on this data folder \(process {os.getpid()}\)"
    ):
        Lock(path, "the workbench")
    first.release()
    Lock(path, "the workbench").release()


def test_a_lock_goes_with_its_process(tmp_path):
    path = tmp_path / "serve.lock"
    code = f"from pathlib import Path; from workbench.processes import Lock; import os, signal; l = Lock(Path({str(path)!r}), 'x'); os.kill(os.getpid(), signal.SIGKILL)"
    subprocess.run([sys.executable, "-c", code], check=False)
    Lock(path, "the workbench").release()


def test_a_taken_port_names_the_setting():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(Conflict, match=rf"port {port} .* taken .*another port with --port"):
            check_port("127.0.0.1", port, "--port")
    check_port("127.0.0.1", port, "--port")


def test_a_child_ends_with_its_parent():
    child = "from workbench.processes import die_with_parent; import os, time; die_with_parent(); print(os.getpid(), flush=True); time.sleep(60)"
    parent = (
        f"import subprocess, sys, time; subprocess.Popen([sys.executable, '-c', {child!r}]); time.sleep(60)"
    )
    process = subprocess.Popen([sys.executable, "-c", parent], stdout=subprocess.PIPE, text=True)
    pid = int(process.stdout.readline())
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()
    ends = time.monotonic() + 10
    while time.monotonic() < ends and _alive(pid):
        time.sleep(0.05)
    assert not _alive(pid)


def _alive(pid: int) -> bool:
    try:
        with Path(f"/proc/{pid}/stat").open() as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False
