#!/usr/bin/env python3
"""Sets up what the workbench needs and runs it: python3 bootstrap.py demo.

Standard library only, so that it runs before anything is installed. The package manager's output goes to
.cache/logs; the screen gets one line for each slow step. What is up to date is left alone.
"""

from __future__ import annotations

import argparse
import fcntl
import hashlib
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

# Older interpreters must get as far as the sentence that names 3.11, so the syntax here stays old.
ROOT = Path(__file__).resolve().parent
LOCKS = ROOT / "configs" / "locks"
CACHE = ROOT / ".cache"
APP = ROOT / ".venv"
LABEL_STUDIO = ROOT / ".venv-ls"
TEMPLATE = CACHE / "label-studio-template"
CHROMIUM = ("chromium", "chromium-browser", "google-chrome")


class SetupError(Exception):
    """A step failed; the message names it and says what to try."""


class Screen:
    """One line on standard error for each slow step, with its seconds; a live line on a terminal."""

    def __init__(self) -> None:
        self._live = sys.stderr.isatty()
        self._lock = threading.Lock()
        self._running: dict[str, float] = {}

    def start(self, title: str) -> None:
        """Announces a step."""
        with self._lock:
            self._running[title] = time.monotonic()
            if not self._live:
                print(f"{title} …", file=sys.stderr, flush=True)

    def finish(self, title: str, outcome: str) -> None:
        """Replaces the step's live line by its outcome."""
        with self._lock:
            seconds = time.monotonic() - self._running.pop(title)
            clear = "\r\x1b[K" if self._live else ""
            print(f"{clear}{title} … {seconds:.0f} s{outcome}", file=sys.stderr, flush=True)

    def tick(self) -> None:
        """Redraws the live line."""
        with self._lock:
            if self._live and self._running:
                now = time.monotonic()
                parts = [f"{title} … {now - since:.0f} s" for title, since in self._running.items()]
                width = shutil.get_terminal_size().columns - 1
                print("\r\x1b[K" + "  |  ".join(parts)[:width], end="", file=sys.stderr, flush=True)


SCREEN = Screen()
CHILDREN: list[subprocess.Popen[bytes]] = []


def environment() -> dict[str, str]:
    """The variables that child processes get: the user's, less those that lead Python astray."""
    astray = {"PYTHONPATH", "PYTHONHOME", "PIP_USER", "PIP_TARGET"}
    kept = {name: value for name, value in os.environ.items() if name not in astray}
    return {**kept, "PYTHONNOUSERSITE": "1", "PIP_NO_INPUT": "1", "PIP_DISABLE_PIP_VERSION_CHECK": "1"}


def run(title: str, log_name: str, *commands: Sequence[object]) -> None:
    """Runs the commands one after the other, their output in .cache/logs/`log_name`.log.

    Raises:
        SetupError: A command failed; carries the log's last meaningful lines.
    """
    log = CACHE / "logs" / f"{log_name}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    SCREEN.start(title)
    with log.open("wb") as output:
        for command in commands:
            child = subprocess.Popen(
                [str(part) for part in command],
                cwd=ROOT,
                env=environment(),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
            CHILDREN.append(child)
            while True:
                try:
                    child.wait(timeout=0.5)
                    break
                except subprocess.TimeoutExpired:
                    SCREEN.tick()
            CHILDREN.remove(child)
            if child.returncode != 0:
                SCREEN.finish(title, ", failed")
                raise SetupError(explain(title, log.read_text("utf-8", "replace"), log))
    SCREEN.finish(title, "")


AGAIN = "then run the same command again."
PIP_SETTINGS = "pip's settings (pip config list)"
HINTS = {
    r"No space left on device": f"Free about 6 GB on this disk, {AGAIN}",
    r"DO NOT MATCH THE HASHES": f"A proxy or mirror served another file than pinned: check {PIP_SETTINGS}.",
    r"Permission denied": f"This folder must belong to you: look with ls -ld . and mend it, {AGAIN}",
    r"Connection ?Error|NewConnection|Temporary failure|timed out|ProxyError|SSLError|Could not resolve": (
        f"The package index could not be reached: check the network and {PIP_SETTINGS}, {AGAIN}"
    ),
    r"No matching distribution|Could not find a version": (
        f"The package index has no such version for this Python and machine: check {PIP_SETTINGS}, {AGAIN}"
    ),
    "": "Run the same command again: it starts this step afresh. If it fails again, the log says more.",
}


def explain(title: str, text: str, log: Path) -> str:
    """What failed, the log's last meaningful lines, where the log is, and what to try."""
    noise = re.compile(r"is ignored: it is|^\s*$|^\[notice\]|^Requirement already satisfied|^Looking in ")
    lines = [line.rstrip() for line in text.splitlines() if not noise.search(line)]
    errors = [line for line in lines if re.search(r"error|failed|fatal", line, re.IGNORECASE)]
    shown = list(dict.fromkeys([*errors[-3:], *lines[-3:]]))
    hint = next(hint for pattern, hint in HINTS.items() if re.search(pattern, text))
    tail = "\n".join(f"    {line[:300]}" for line in shown)
    where = log.relative_to(ROOT) if log.is_relative_to(ROOT) else log
    return f"{title}: failed. The log {where} ends with\n{tail}\n{hint}"


def digest(*parts: str | Path) -> str:
    """A stamp that changes with a file's content, the interpreter's version and this folder's place."""
    state = hashlib.sha256(f"{ROOT} {sys.base_prefix} {sys.version_info[:2]}".encode())
    for part in parts:
        state.update(part.read_bytes() if isinstance(part, Path) else part.encode())
        state.update(b"\0")
    return state.hexdigest()


def is_current(stamp: Path, key: str) -> bool:
    """Whether the step behind `stamp` was finished with this key."""
    return stamp.is_file() and stamp.read_text("ascii", "replace") == key


def step(stamp: Path, key: str, work: Callable[[], None]) -> None:
    """Does the work unless its stamp says it is done; the stamp is written last."""
    if is_current(stamp, key):
        return
    stamp.unlink(missing_ok=True)
    work()
    stamp.parent.mkdir(parents=True, exist_ok=True)
    partial = stamp.with_suffix(".partial")
    partial.write_text(key, "ascii")
    partial.replace(stamp)


class Environment:
    """A virtual environment that is either finished or rebuilt from nothing."""

    def __init__(self, folder: Path, name: str) -> None:
        self.folder = folder
        self.name = name
        self.python = folder / "bin" / "python"
        self._stamps = folder / "stamps"
        self._unfinished = self._stamps / "unfinished"
        self._log_name = folder.name.lstrip(".")

    def create(self) -> None:
        """Makes the empty environment; an interrupted, moved or outdated one goes first."""
        key = digest()
        stamp = self._stamps / "created"
        if is_current(stamp, key) and not self._unfinished.exists() and self.python.exists():
            return
        if self.folder.exists():
            shutil.rmtree(self.folder)
        # The base interpreter: inside an activated .venv, sys.executable may be what was just removed.
        command = [getattr(sys, "_base_executable", sys.executable), "-m", "venv", self.folder]
        step(stamp, key, lambda: run(f"{self.name}: creating", f"{self._log_name}-create", command))

    def install(self, part: str, title: str, inputs: Iterable[str | Path], *pip: Sequence[object]) -> None:
        """Runs pip with each list of arguments, once for each state of the inputs."""
        # Compiled while they are first imported instead: a third of the time, for a tenth of the modules.
        base = [self.python, "-m", "pip", "install", "--progress-bar", "off", "--no-compile"]

        def work() -> None:
            self._unfinished.write_text(part, "utf-8")
            try:
                run(f"{self.name}: {title}", log_name, *([*base, *arguments] for arguments in pip))
            except SetupError:
                log = CACHE / "logs" / f"{log_name}.log"
                if b"Installing collected packages" not in log.read_bytes():
                    self._unfinished.unlink()  # it failed before it touched the environment
                raise
            self._unfinished.unlink()

        log_name = f"{self._log_name}-{part}"
        step(self._stamps / part, digest(*inputs), work)


def count(lock: Path) -> int:
    """How many packages a lock holds."""
    return sum(1 for line in lock.read_text("utf-8").splitlines() if re.match(r"[A-Za-z0-9]", line))


def torch_arguments() -> list[object]:
    """The arguments of pip for torch.

    The public index's Linux wheel is the CUDA build and brings some 3 GB of libraries. Without a GPU,
    PyTorch's own CPU index is the smaller choice: TORCH_INDEX names it; by default no extra index is asked.
    What torch requires is looked up, since it differs between the builds; the lock's part is there already.
    """
    index = os.environ.get("TORCH_INDEX", "")
    extra = ["--extra-index-url", index] if index else []
    return [*extra, "--requirement", LOCKS / "torch.txt"]


LOCKED = ("--no-deps", "--require-hashes", "--requirement")


def set_up_app() -> None:
    """The application's environment: locked packages, torch, two single wheels, our own four packages."""
    app = Environment(APP, "Application environment")
    app.create()
    lock, torch, encoder, htmx = (LOCKS / f"{name}.txt" for name in ("app", "torch", "encoder", "htmx"))
    files = [lock, encoder, htmx]
    title = f"installing {count(lock) + 2} packages"
    app.install("packages", title, files, *([*LOCKED, file] for file in files))
    pins = CACHE / "constraints.txt"
    pins.parent.mkdir(parents=True, exist_ok=True)
    # Hashes in constraints would be demanded of torch as well, so the versions stand here alone.
    versions = re.findall(r"^[A-Za-z0-9][^ \n]*==[^ ;\n]+", lock.read_text("utf-8"), re.MULTILINE)
    pins.write_text("\n".join(versions), "utf-8")
    app.install("torch", "installing torch", [torch], [*torch_arguments(), "--constraint", pins])
    own = ["--no-deps", "--no-build-isolation", "--editable", ROOT]
    app.install("own", "adding our own packages", [ROOT / "pyproject.toml"], own)


def set_up_label_studio() -> None:
    """Label Studio's own environment."""
    server = Environment(LABEL_STUDIO, "Label Studio's environment")
    server.create()
    lock = LOCKS / "label-studio.txt"
    server.install("packages", f"installing {count(lock)} packages", [lock], [*LOCKED, lock])


def set_up_test_tools() -> None:
    """What the tests need on top: checkers and test libraries, Chromium, and strace for the power cuts."""
    app = Environment(APP, "Application environment")
    lock = LOCKS / "dev.txt"
    app.install("test-tools", f"installing {count(lock)} packages for the tests", [lock], [*LOCKED, lock])
    missing = [] if any(shutil.which(name) for name in CHROMIUM) else ["chromium"]
    missing += [] if shutil.which("strace") else ["strace"]
    if not missing:
        return
    packages = " ".join(missing)
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        raise SetupError(
            f"The tests drive a real browser and record writes: as root, apt install {packages}, {AGAIN}"
        )
    lists = Path("/var/lib/apt/lists")
    update = [] if any(lists.glob("*_Packages*")) else [["apt-get", "update"]]
    quiet = ["env", "DEBIAN_FRONTEND=noninteractive"]
    install = [*quiet, "apt-get", "install", "-y", "--no-install-recommends", *missing]
    run(f"Debian's packages for the tests: installing {packages}", "debian", *update, install)


def set_up_demo_data() -> None:
    """The rated texts that the demo replays, fetched once."""
    module = ROOT / "workbench" / "demo" / "dataset.py"
    fetch = [APP / "bin" / "python", "-m", "workbench.demo.dataset", "fetch", CACHE / "demo"]
    stamp = CACHE / "stamps" / "demo-data"
    step(stamp, digest(module), lambda: run("Demo data: fetching", stamp.name, fetch))


def set_up_label_studio_data() -> None:
    """A Label Studio data folder after its first start; each real server begins as a copy of it."""
    script = "import pathlib, sys; from integrations.label_studio.server import prepare; "
    script += "prepare(*map(pathlib.Path, sys.argv[1:]))"
    prepare = [APP / "bin" / "python", "-c", script, TEMPLATE, LABEL_STUDIO / "bin" / "python"]

    def work() -> None:
        if TEMPLATE.exists():
            shutil.rmtree(TEMPLATE)
        run("Label Studio: preparing an empty server", stamp.name, prepare)

    stamp = CACHE / "stamps" / "label-studio-template"
    if not TEMPLATE.exists():
        stamp.unlink(missing_ok=True)
    step(stamp, digest(LOCKS / "label-studio.txt"), work)


def set_up_charts() -> None:
    """The script that draws the charts, taken out of its package once."""
    module = ROOT / "workbench" / "web" / "assets.py"
    build = [APP / "bin" / "python", "-m", "workbench.web.assets"]
    key = digest(LOCKS / "app.txt", module)
    stamp = CACHE / "stamps" / "charts"
    step(stamp, key, lambda: run("Charts: building the drawing script", stamp.name, build))


def together(*works: Callable[[], None]) -> None:
    """Does the works at the same time; the first error is raised when all have ended."""
    with ThreadPoolExecutor(len(works)) as pool:
        futures = [pool.submit(work) for work in works]
    for future in futures:
        future.result()


def in_turn(*works: Callable[[], None]) -> Callable[[], None]:
    """One piece of work that does the given ones in order."""

    def work() -> None:
        for part in works:
            part()

    return work


def set_up_demo() -> None:
    """All that `demo` needs."""
    together(set_up_app, set_up_label_studio)
    together(set_up_label_studio_data, in_turn(set_up_demo_data, set_up_charts))


def set_up_everything() -> None:
    """All that `demo` and `test` need."""
    together(set_up_app, set_up_label_studio)
    together(set_up_label_studio_data, in_turn(set_up_demo_data, set_up_charts, set_up_test_tools))


SET_UP = {
    "app": set_up_app,
    "label-studio": set_up_label_studio,
    "test-tools": in_turn(set_up_app, set_up_test_tools),
    "demo-data": in_turn(set_up_app, set_up_demo_data),
    "all": set_up_everything,
}
RUNS = {"demo": set_up_demo, "lint": SET_UP["test-tools"]}


# Files, in their order: those that wait for servers and browsers begin early, beside those that compute.
TWO_AT_A_TIME = ("-n", "2", "--dist", "loadfile", "--no-loadscope-reorder")


def checks(arguments: list[str]) -> list[tuple[str, list[str]]]:
    """Each check of `test` with its command, in order; pytest gets the arguments."""
    tool = str(APP / "bin") + "/"
    return [
        ("ruff check", [tool + "ruff", "check", "."]),
        ("ruff format", [tool + "ruff", "format", "--check", "."]),
        ("mypy", [tool + "mypy"]),
        ("lint-imports", [tool + "lint-imports"]),
        ("pytest", [tool + "python", "-m", "pytest", *TWO_AT_A_TIME, *arguments]),
    ]


def benchmarks(arguments: list[str]) -> list[tuple[str, list[str]]]:
    """Each benchmark with its command."""
    found = sorted((ROOT / "tests" / "benchmarks").glob("[a-z]*.py"))
    command = [str(APP / "bin" / "python"), "-m"]
    return [(it.stem, [*command, f"tests.benchmarks.{it.stem}", "--json", *arguments]) for it in found]


def run_in_order(name: str, commands: list[tuple[str, list[str]]]) -> int:
    """Runs commands on the open screen, a heading each, until one fails; its exit status."""
    for title, command in commands:
        print(f"\n== {title}", flush=True)
        status = subprocess.call(command, cwd=ROOT, env=environment())
        if status != 0:
            print(f"\n{name}: stopped at {title} (exit status {status})", file=sys.stderr, flush=True)
            return status if status > 0 else 128 - status
    return 0


def check_interpreter() -> None:
    """Goes on under Python 3.11 with the venv module, or ends with what to install."""
    if sys.version_info[:2] != (3, 11):
        found = shutil.which("python3.11")
        if found:
            os.execv(found, [found, *sys.argv])
        version = ".".join(str(part) for part in sys.version_info[:3])
        sys.exit(
            f"The workbench needs Python 3.11, this is {version}. Debian 12 has it: apt install python3.11"
        )
    try:
        __import__("ensurepip")
        __import__("venv")
    except ImportError:
        sys.exit("Python's venv module is missing. Install it (as root): apt install python3-venv")


def set_up(work: Callable[[], None]) -> None:
    """Does the set-up while no other set-up runs in this folder; ends the program where it fails."""
    try:
        CACHE.mkdir(exist_ok=True)
        with (CACHE / "bootstrap.lock").open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                print("Another set-up runs in this folder; waiting for it …", file=sys.stderr, flush=True)
                fcntl.flock(lock, fcntl.LOCK_EX)
            work()
    except SetupError as error:
        sys.exit(f"\n{error}")
    except OSError as error:
        sys.exit(f"\nSet-up failed: {error}. Mend that, then run the same command again.")


def stop(number: int, _frame: object) -> None:
    """Ends the running installers, then this program; what they left half done is rebuilt by the next run."""
    for child in (*CHILDREN,):
        child.terminate()
    print("\nStopped. The next run starts the unfinished steps afresh.", file=sys.stderr, flush=True)
    os._exit(128 + number)


def main() -> int:
    """Reads the command line and does what it says; the exit status."""
    parser = argparse.ArgumentParser(prog="bootstrap.py", description=__doc__)
    parser.add_argument("command", choices=[*SET_UP, "demo", "test", "lint", "promises", "bench", "chaos"])
    parser.add_argument("arguments", nargs=argparse.REMAINDER, help="for the demo, pytest or the benchmarks")
    options = parser.parse_args()
    check_interpreter()
    signal.signal(signal.SIGINT, stop)
    signal.signal(signal.SIGTERM, stop)
    set_up({**SET_UP, **RUNS}.get(options.command, SET_UP["all"]))
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    os.chdir(ROOT)
    if options.command == "demo":
        workbench = str(APP / "bin" / "workbench")
        sys.stderr.flush()
        # The same process goes on: Ctrl-C and kill reach the demo itself.
        os.execve(workbench, [workbench, "demo", *options.arguments], environment())
    if options.command == "test":
        return run_in_order("test", checks(options.arguments))
    if options.command == "lint":
        return run_in_order("lint", checks([])[:-1])
    if options.command == "promises":
        os.environ["PROMISES"] = "long"  # the short form of these simulations is part of `test`
        return run_in_order("promises", checks(["tests/promises", *options.arguments])[-1:])
    if options.command == "chaos":
        python = str(APP / "bin" / "python")
        sys.stderr.flush()
        # The same process goes on, as for the demo; the campaign keeps what it has found when it is ended.
        os.execve(python, [python, "-m", "tests.campaign.chaos", *options.arguments], environment())
    if options.command == "bench":
        return run_in_order("bench", benchmarks(options.arguments))
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
