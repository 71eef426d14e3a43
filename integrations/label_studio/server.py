"""A local Label Studio for the demo and the tests: prepared once, started in seconds, never an orphan.

The server runs under gunicorn in its own interpreter and process group. A watcher inside it ends it when the
process that started it is gone, whatever way that ended.
"""

import contextlib
import os
import secrets
import shutil
import signal
import socket
import sqlite3
import subprocess
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from integrations.label_studio.errors import LocalServerFailed, PortTaken
from integrations.outbound.client import outbound_client
from integrations.outbound.rules import LOCAL

HOST = "127.0.0.1"
DATABASE = "label_studio.sqlite3"
_HERE = Path(__file__).resolve().parent / "local_server"
_KEPT_ENVIRONMENT = ("PATH", "HOME", "TMPDIR", "LANG", "LC_ALL", "TZ", "SYSTEMROOT")
_POLL_S = 0.1
_children: dict[int, subprocess.Popen[bytes]] = {}
_children_lock = threading.Lock()


@dataclass(frozen=True)
class LocalServerSpec:
    """A local server to be started.

    Attributes:
        data_dir: Its folder; made from `template_dir` when it does not exist yet.
        port: On 127.0.0.1 alone.
        python: Label Studio's own interpreter.
        admin_email: The first account, made on the folder's first start; later starts ignore the three.
        admin_password: At least 8 characters.
        admin_token: 40 hexadecimal digits, the account's legacy token; `new_token` makes one.
        template_dir: A folder made by `prepare`; without it the first start takes half a minute.
        workers: Processes, of four threads each.
        log_path: Where the server writes; by default inside `data_dir`.
        ends_with_us: Stop it when the process that started it ends.
        start_timeout_s: How long to wait until it answers.
        receiver: The beginning of the one private address that webhooks may go to, as
            http://127.0.0.1:8000/hooks/label-studio/; empty for none. All other checks stay as they are.
    """

    data_dir: Path
    port: int
    python: Path
    admin_email: str
    admin_password: str = field(repr=False)
    admin_token: str = field(repr=False)
    template_dir: Path | None = None
    workers: int = 2
    log_path: Path | None = None
    ends_with_us: bool = True
    start_timeout_s: float = 240.0
    receiver: str = ""

    @property
    def log(self) -> Path:
        """Where the server writes."""
        return self.log_path or self.data_dir / "label_studio.log"


@dataclass(frozen=True)
class RunningServer:
    """A local server that answers."""

    pid: int
    url: str


def new_token() -> str:
    """A fresh legacy token: 40 hexadecimal digits."""
    return secrets.token_hex(20)


def free_port() -> int:
    """A port of 127.0.0.1 that nothing listens on right now."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port


def prepare(template_dir: Path, python: Path, *, timeout_s: float = 600.0) -> Path:
    """A data folder with every table made, to copy first starts from; done once, half a minute.

    A folder that is complete is left alone. The folder holds no account and no secret.

    Raises:
        LocalServerFailed: The tables could not be made; the message names the log.
    """
    if (template_dir / DATABASE).is_file():
        return template_dir
    _require(python)
    template_dir.parent.mkdir(parents=True, exist_ok=True)
    unfinished = template_dir.with_name(f"{template_dir.name}.{os.getpid()}.unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir(mode=0o700)
    log = template_dir.with_name(f"{template_dir.name}.log")
    command = [str(python), str(_HERE / "workbench_ls_app.py"), "migrate"]
    with log.open("wb") as out:
        try:
            subprocess.run(  # noqa: S603 - our own file under the given interpreter
                command,
                env=_environment(unfinished, python),
                stdout=out,
                stderr=out,
                timeout=timeout_s,
                check=True,
            )
        except (subprocess.SubprocessError, OSError) as error:
            raise LocalServerFailed(
                f"the tables of the local Label Studio could not be made ({type(error).__name__}); "
                f"read {log}, then run `make bootstrap` and try again"
            ) from None
    _settle_database(unfinished / DATABASE)
    for path in unfinished.iterdir():
        # The secret key belongs to one data folder, so the template has none.
        if path.is_file() and path.name != DATABASE:
            path.unlink()
    with contextlib.suppress(OSError):
        unfinished.rename(template_dir)
    shutil.rmtree(unfinished, ignore_errors=True)
    return template_dir


def start(spec: LocalServerSpec) -> RunningServer:
    """A server that answers, on its own data folder.

    Raises:
        PortTaken: Another program listens on the port.
        LocalServerFailed: It ended or did not answer in time; the message names the log.
    """
    _require(spec.python)
    _require_free(spec.port)
    _make_data_dir(spec)
    environment = _environment(spec.data_dir, spec.python) | {
        "WORKBENCH_LS_BIND": f"{HOST}:{spec.port}",
        "WORKBENCH_LS_WORKERS": str(spec.workers),
        "WORKBENCH_LS_PARENT": str(os.getpid()) if spec.ends_with_us else "0",
        "WORKBENCH_LS_EMAIL": spec.admin_email,
        "WORKBENCH_LS_PASSWORD": spec.admin_password,
        "WORKBENCH_LS_TOKEN": spec.admin_token,
        "WORKBENCH_LS_RECEIVER": spec.receiver,
    }
    command = [str(spec.python), "-m", "gunicorn", "-c", str(_HERE / "gunicorn_conf.py"), "workbench_ls_app"]
    spec.log.parent.mkdir(parents=True, exist_ok=True)
    spec.log.touch(mode=0o600)
    with spec.log.open("ab") as out:
        process = subprocess.Popen(  # noqa: S603 - our own file under the given interpreter
            command,
            env=environment,
            cwd=spec.data_dir,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            start_new_session=True,
            umask=0o077,
        )
    with _children_lock:
        _children[process.pid] = process
    url = f"http://{HOST}:{spec.port}"
    try:
        _wait_until_up(process, url, spec)
    except BaseException:
        stop(process.pid, grace_s=1.0)
        raise
    return RunningServer(pid=process.pid, url=url)


def stop(pid: int, *, grace_s: float = 8.0) -> None:
    """Ends a local server and all of its processes: asks first, then kills. Nothing happens if it is gone."""
    with _children_lock:
        process = _children.pop(pid, None)
    _signal_group(pid, signal.SIGTERM, only_leader=True)
    deadline = time.monotonic() + grace_s
    while time.monotonic() < deadline and _group_alive(pid, process):
        time.sleep(_POLL_S)
    _signal_group(pid, signal.SIGKILL)
    if process is not None:
        process.wait(timeout=10)


def is_running(pid: int) -> bool:
    """Whether a local server's process group has a living process."""
    with _children_lock:
        process = _children.get(pid)
    return _group_alive(pid, process)


def _group_alive(pid: int, process: subprocess.Popen[bytes] | None) -> bool:
    if process is not None:
        process.poll()
    try:
        os.killpg(pid, 0)
    except (ProcessLookupError, PermissionError):
        return False
    return True


def _signal_group(pid: int, number: signal.Signals, *, only_leader: bool = False) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        # killpg of a number that is no group fails, so a process id that was given away again is left alone.
        if os.getpgid(pid) == pid and only_leader:
            os.kill(pid, number)
        elif not only_leader:
            os.killpg(pid, number)


def _wait_until_up(process: subprocess.Popen[bytes], url: str, spec: LocalServerSpec) -> None:
    deadline = time.monotonic() + spec.start_timeout_s
    with outbound_client(LOCAL, origin=url, timeout_s=2.0) as http:
        while time.monotonic() < deadline:
            if process.poll() is not None:
                raise LocalServerFailed(
                    f"the local Label Studio ended while starting (exit status {process.returncode}); "
                    f"read the end of {spec.log}"
                )
            with contextlib.suppress(httpx.HTTPError):
                if http.get(f"{url}/health").status_code == httpx.codes.OK:
                    return
            time.sleep(_POLL_S)
    raise LocalServerFailed(
        f"the local Label Studio did not answer on port {spec.port} within {spec.start_timeout_s:.0f} s; "
        f"read the end of {spec.log}, close other heavy programs and start it again"
    )


def _require(python: Path) -> None:
    if not python.is_file():
        raise LocalServerFailed(
            f"Label Studio's environment is missing ({python}); run `make bootstrap` to build it"
        )


def _require_free(port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            raise PortTaken(
                f"port {port} on {HOST} is taken by another program; stop that program or choose another port"
            ) from None


def _make_data_dir(spec: LocalServerSpec) -> None:
    spec.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    database = spec.data_dir / DATABASE
    if not database.exists():
        template = prepare(spec.template_dir or spec.data_dir.with_name("label-studio-template"), spec.python)
        unfinished = database.with_suffix(".unfinished")
        shutil.copyfile(template / DATABASE, unfinished)
        unfinished.chmod(0o600)
        unfinished.rename(database)


def _settle_database(database: Path) -> None:
    """Moves what the write-ahead log holds into the file, so that copying the one file is enough."""
    connection = sqlite3.connect(database)
    try:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    finally:
        connection.close()


def _package_dir(python: Path) -> Path:
    found = sorted(python.parent.parent.glob("lib/python3*/site-packages/label_studio"))
    if not found:
        raise LocalServerFailed(
            f"label-studio is not installed beside {python}; run `make bootstrap` to install it"
        )
    return found[0]


def _environment(data_dir: Path, python: Path) -> dict[str, str]:
    kept = {name: os.environ[name] for name in _KEPT_ENVIRONMENT if name in os.environ}
    return kept | {
        "PYTHONPATH": str(_HERE),
        "WORKBENCH_LS_PACKAGE": str(_package_dir(python)),
        "PYTHONUNBUFFERED": "1",
        "DJANGO_SETTINGS_MODULE": "core.settings.label_studio",
        "DJANGO_DB": "sqlite",
        "LABEL_STUDIO_BASE_DATA_DIR": str(data_dir.resolve()),
        "LABEL_STUDIO_ALLOWED_HOSTS": f"{HOST},localhost",
        "LABEL_STUDIO_CORS_ALLOW_ALL_ORIGINS": "false",
        "LABEL_STUDIO_DISABLE_SIGNUP_WITHOUT_LINK": "true",
        "LABEL_STUDIO_ENABLE_LEGACY_API_TOKEN": "true",
        "LABEL_STUDIO_ENABLE_LOCAL_FILES_STORAGE": "false",
        "LABEL_STUDIO_SSRF_PROTECTION_ENABLED": "true",
        # Nothing is told to anybody outside this machine.
        "LABEL_STUDIO_COLLECT_ANALYTICS": "false",
        "LABEL_STUDIO_LATEST_VERSION_CHECK": "false",
        "LABEL_STUDIO_SENTRY_DSN": "",
        "LABEL_STUDIO_FRONTEND_SENTRY_DSN": "",
        "LABEL_STUDIO_LOG_LEVEL": "WARNING",
        "LABEL_STUDIO_DEBUG": "false",
    }
