"""`workbench serve`: the web process, with one worker as its child."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time

import structlog
import uvicorn

from workbench import logs
from workbench.adapters import label_studio_clients, provider_fetch
from workbench.app import create_app
from workbench.auth.service import ensure_roles
from workbench.db import migrate
from workbench.outside import outside_of
from workbench.processes import CHILD, Lock, check_port, die_with_parent
from workbench.settings import Settings, load_settings

log = structlog.get_logger(__name__)

STOP_SECONDS = 30
FIRST_PAUSE_S, LONGEST_PAUSE_S = 1.0, 30.0
# A worker that lived this long did not die of how it was started.
RAN_WELL_S = 10.0


def serve(settings: Settings, *, with_worker: bool = True) -> None:
    """Serve pages and API until SIGTERM or Ctrl-C; the worker is restarted when it dies.

    Raises:
        Conflict: The port is taken, or another `serve` runs on this data folder.
        InvalidInput: The database was written by a newer release.
    """
    logs.configure_logs()
    if parent := os.environ.get(CHILD):
        die_with_parent(int(parent))
    check_port(settings.host, settings.port, "--port (or WORKBENCH_PORT)")
    lock = Lock(settings.data_dir / "serve.lock", "`workbench serve`")
    migrate.upgrade(settings)
    outside = outside_of(settings, label_studio=label_studio_clients(settings))
    with outside.db.write() as session:
        ensure_roles(session)
    worker = WorkerChild(settings) if with_worker else None
    if worker:
        worker.start()
    try:
        uvicorn.run(
            create_app(outside, fetch=provider_fetch(settings)),
            host=settings.host,
            port=settings.port,
            log_config=None,
            access_log=False,
            timeout_graceful_shutdown=5,
            server_header=False,
            proxy_headers=False,  # believed from trusted_proxies alone, by workbench.web.senders
        )
    finally:
        if worker:
            worker.stop()
        outside.db.close()
        lock.release()


class WorkerChild:
    """The worker process, watched and started again when it dies."""

    def __init__(self, settings: Settings) -> None:
        self._environment = os.environ | child_environment(settings) | {CHILD: str(os.getpid())}
        self._stopping = threading.Event()
        self._started = 0.0
        self._process: subprocess.Popen[bytes] | None = None
        self._watcher = threading.Thread(target=self._watch, name="worker-child", daemon=True)

    def start(self) -> None:
        """Start the process and the watch over it."""
        self._spawn()
        self._watcher.start()

    def stop(self) -> None:
        """Ask the worker to stop, and end it if it has not after a while."""
        self._stopping.set()
        process = self._process
        if process is None:
            return
        process.terminate()
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def _spawn(self) -> None:
        self._started = time.monotonic()
        self._process = subprocess.Popen(
            [sys.executable, "-m", "workbench.worker"], env=self._environment, stdin=subprocess.DEVNULL
        )

    def _watch(self) -> None:
        pause = FIRST_PAUSE_S
        while not self._stopping.wait(0.5):
            if self._process is not None and self._process.poll() is not None:
                if time.monotonic() - self._started > RAN_WELL_S:
                    pause = FIRST_PAUSE_S
                log.warning("worker ended, starting it again", code=self._process.returncode, pause_s=pause)
                time.sleep(pause)
                pause = min(pause * 2, LONGEST_PAUSE_S)
                if not self._stopping.is_set():
                    self._spawn()


def child_environment(settings: Settings) -> dict[str, str]:
    """The settings as the environment of a child process."""
    values = {
        f"WORKBENCH_{name.upper()}": json.dumps(value) if isinstance(value, list) else str(value)
        for name, value in settings.model_dump(
            mode="json", exclude={"secret_key", "sign_in_providers"}, exclude_none=True
        ).items()
    }
    if settings.secret_key is not None:
        values["WORKBENCH_SECRET_KEY"] = settings.secret_key.get_secret_value()
    return values


if __name__ == "__main__":
    serve(load_settings())
