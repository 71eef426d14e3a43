"""The processes a demo starts: Label Studio, the workbench, six replay accounts."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import httpx

from integrations.label_studio.server import LocalServerSpec, RunningServer, start
from integrations.outbound.client import outbound_client
from integrations.outbound.rules import LOCAL
from workbench.demo.secrets import PEOPLE, SignIns, email_of
from workbench.errors import Unavailable
from workbench.inbox.service import HOOKS
from workbench.processes import CHILD
from workbench.serve import child_environment
from workbench.settings import Settings

ROOT = Path(__file__).resolve().parents[2]
CACHE = ROOT / ".cache"
START_S = 60.0
STOP_S = 40.0


def start_label_studio(folder: Path, port: int, sign_ins: SignIns, workbench: str = "") -> RunningServer:
    """A real Label Studio of this demo's own.

    Raises:
        IntegrationError: It cannot be started; the message says why and where the log is.
    """
    return start(
        LocalServerSpec(
            data_dir=folder / "label-studio",
            port=port,
            python=ROOT / ".venv-ls" / "bin" / "python",
            admin_email=sign_ins.admin_email,
            admin_password=sign_ins.admin_password,
            admin_token=sign_ins.label_studio_token,
            template_dir=CACHE / "label-studio-template",
            log_path=folder / "logs" / "label-studio.log",
            receiver=f"{workbench}{HOOKS}" if workbench else "",
        )
    )


def start_workbench(settings: Settings) -> subprocess.Popen[bytes]:
    """`workbench serve` as a child, once it answers.

    Raises:
        Unavailable: It ended or did not answer in time.
    """
    log = settings.data_dir / "logs" / "workbench.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as sink:
        process = subprocess.Popen(
            [sys.executable, "-m", "workbench.serve"],
            env=os.environ | child_environment(settings) | {CHILD: str(os.getpid())},
            stdin=subprocess.DEVNULL,
            stdout=sink,
            stderr=sink,
            start_new_session=True,
        )
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline and process.poll() is None:
        with (
            contextlib.suppress(httpx.HTTPError),
            outbound_client(LOCAL, origin=settings.local_address, timeout_s=5.0) as http,
        ):
            if http.get(f"{settings.local_address}/health/ready").is_success:
                return process
        time.sleep(0.2)
    stop(process)
    raise Unavailable(f"the workbench did not start; {log} says why")


class Replays:
    """The replay accounts; each is told an address, an e-mail address, a password and where the texts are."""

    def __init__(self, label_studio: str, archive: Path, folder: Path, sign_ins: SignIns) -> None:
        notes = folder / "replay"
        notes.mkdir(parents=True, exist_ok=True)
        self._processes = []
        for account, name in enumerate(PEOPLE):
            order = {
                "address": label_studio,
                "email": email_of(name),
                "password": sign_ins.password,
                "texts": str(archive),
                "account": account,
                "accounts": len(PEOPLE),
                # Without a pause the server hands many a task to two people at once; people pause too.
                "max_per_minute": 120,
                "dealt": str(notes / f"{account}.dealt"),
            }
            with (folder / "logs" / f"replay-{account}.log").open("ab") as sink:
                process = subprocess.Popen(
                    [sys.executable, "-m", "workbench.demo.replay"],
                    stdin=subprocess.PIPE,
                    stdout=sink,
                    stderr=sink,
                    start_new_session=True,
                )
            if process.stdin is not None:
                process.stdin.write(json.dumps(order).encode())
                process.stdin.close()
            self._processes.append(process)

    def check(self) -> None:
        """Nothing, while they all run.

        Raises:
            Unavailable: One has ended by itself.
        """
        for account, process in enumerate(self._processes):
            if process.poll() not in {None, 0}:
                raise Unavailable(f"replay account {account + 1} has ended; its log in logs/ says why")

    def stop(self) -> None:
        """End them all."""
        for process in self._processes:
            process.terminate()
        for process in self._processes:
            stop(process)


def stop(process: subprocess.Popen[bytes]) -> None:
    """End a child: asked first, then killed."""
    process.terminate()
    try:
        process.wait(STOP_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
