import ast
import importlib.util
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[3]


@pytest.fixture
def bootstrap(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The module, with its cache in a temporary folder."""
    spec = importlib.util.spec_from_file_location("bootstrap_under_test", ROOT / "bootstrap.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setattr(module, "CACHE", tmp_path / "cache")
    return module


def test_older_interpreters_can_read_it():
    ast.parse((ROOT / "bootstrap.py").read_text("utf-8"), feature_version=(3, 7))


def test_it_imports_the_standard_library_alone():
    tree = ast.parse((ROOT / "bootstrap.py").read_text("utf-8"))
    names = {a.name.split(".")[0] for n in ast.walk(tree) if isinstance(n, ast.Import) for a in n.names}
    names |= {(n.module or "").split(".")[0] for n in ast.walk(tree) if isinstance(n, ast.ImportFrom)}
    assert names <= sys.stdlib_module_names


def test_a_step_is_done_once_for_each_key(bootstrap, tmp_path):
    done = []
    stamp = tmp_path / "stamps" / "step"
    for key in ("a", "a", "b"):
        bootstrap.step(stamp, key, lambda key=key: done.append(key))
    assert done == ["a", "b"]


def test_a_failed_step_is_done_again(bootstrap, tmp_path):
    stamp = tmp_path / "step"
    bootstrap.step(stamp, "a", lambda: None)

    def fail():
        raise bootstrap.SetupError("no")

    with pytest.raises(bootstrap.SetupError):
        bootstrap.step(stamp, "b", fail)
    assert not bootstrap.is_current(stamp, "a")
    assert not bootstrap.is_current(stamp, "b")


def test_the_stamp_follows_content(bootstrap, tmp_path):
    lock = tmp_path / "lock.txt"
    lock.write_text("a==1")
    before = bootstrap.digest(lock)
    assert bootstrap.digest(lock) == before
    lock.write_text("a==2")
    assert bootstrap.digest(lock) != before


def test_the_noise_goes_to_the_log_and_one_line_to_the_screen(bootstrap, capfd):
    bootstrap.run("Making things", "things", ["sh", "-c", "echo noise; echo more >&2"])
    shown = capfd.readouterr()
    assert shown.out == ""
    assert shown.err == "Making things …\nMaking things … 0 s\n"
    assert (bootstrap.CACHE / "logs" / "things.log").read_text() == "noise\nmore\n"


def test_a_failure_shows_the_reason_the_log_and_what_to_try(bootstrap):
    script = "echo 'Location x is ignored: it is'; echo 'ERROR: No space left on device'; echo; exit 3"
    with pytest.raises(bootstrap.SetupError) as caught:
        bootstrap.run("Installing", "pip", ["sh", "-c", script])
    message = str(caught.value)
    assert "Installing: failed" in message
    assert "ERROR: No space left" in message
    assert "pip.log" in message
    assert "Free about" in message
    assert "ignored" not in message


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        (
            "NewConnectionError: Temporary failure in name resolution\nCould not find a version",
            "check the network",
        ),
        ("ERROR: No matching distribution found for x", "no such version"),
        ("THESE PACKAGES DO NOT MATCH THE HASHES", "another file"),
        ("PermissionError: [Errno 13] Permission denied", "belong to you"),
        ("something else", "starts this step afresh"),
    ],
)
def test_each_kind_of_failure_has_its_advice(bootstrap, text, hint):
    assert hint in bootstrap.explain("Installing", text, Path("x.log"))


class Runs:
    """Stands in for `run` and makes what venv would make."""

    def __init__(self) -> None:
        self.titles: list[str] = []

    def __call__(self, title: str, log_name: str, *commands: list[object]) -> None:
        self.titles.append(title)
        if "venv" in commands[0]:
            python = Path(str(commands[0][-1])) / "bin" / "python"
            python.parent.mkdir(parents=True)
            python.touch()


def test_an_environment_is_made_once_and_updated_in_place(bootstrap, tmp_path, monkeypatch):
    monkeypatch.setattr(bootstrap, "run", runs := Runs())
    lock = tmp_path / "lock.txt"
    for content in ("a==1", "a==1", "a==2"):
        lock.write_text(content)
        it = bootstrap.Environment(tmp_path / "env", "Env")
        it.create()
        it.install("packages", "installing", [lock], ["-r", lock])
    assert runs.titles == ["Env: creating", "Env: installing", "Env: installing"]


@pytest.mark.parametrize(
    ("log", "creations"), [("Installing collected packages: a\n", 2), ("Could not find a version\n", 1)]
)
def test_a_half_installed_environment_is_made_anew(bootstrap, tmp_path, monkeypatch, log, creations):
    monkeypatch.setattr(bootstrap, "run", runs := Runs())
    it = bootstrap.Environment(tmp_path / "env", "Env")
    it.create()

    def broken(_title: str, log_name: str, *_: object) -> None:
        path = bootstrap.CACHE / "logs" / f"{log_name}.log"
        path.parent.mkdir(parents=True)
        path.write_text(log)
        raise bootstrap.SetupError("failed")

    monkeypatch.setattr(bootstrap, "run", broken)
    with pytest.raises(bootstrap.SetupError):
        it.install("packages", "installing", [], ["-r", "x"])
    (it.folder / "half").touch()
    monkeypatch.setattr(bootstrap, "run", runs)
    it.create()
    assert runs.titles == ["Env: creating"] * creations
    assert (it.folder / "half").exists() is (creations == 1)


def test_torch_comes_from_another_index_only_when_named(bootstrap, monkeypatch):
    monkeypatch.delenv("TORCH_INDEX", raising=False)
    assert "--extra-index-url" not in bootstrap.torch_arguments()
    monkeypatch.setenv("TORCH_INDEX", "https://example.com/cpu")
    assert bootstrap.torch_arguments()[:2] == ["--extra-index-url", "https://example.com/cpu"]


def test_a_missing_browser_is_one_sentence_for_those_who_are_not_root(bootstrap, monkeypatch):
    monkeypatch.setattr(bootstrap.Environment, "install", lambda *_: None)
    monkeypatch.setattr(bootstrap.shutil, "which", lambda _: None)
    monkeypatch.setattr(bootstrap.os, "geteuid", lambda: 1000)
    with pytest.raises(bootstrap.SetupError, match="apt install chromium"):
        bootstrap.set_up_test_tools()


def test_another_python_gets_a_sentence(bootstrap, monkeypatch):
    monkeypatch.setattr(bootstrap.sys, "version_info", (3, 13, 1))
    monkeypatch.setattr(bootstrap.shutil, "which", lambda _: None)
    with pytest.raises(SystemExit, match=r"needs Python 3\.11, this is 3\.13\.1"):
        bootstrap.check_interpreter()


def test_a_missing_venv_module_names_debians_package(bootstrap, monkeypatch):
    monkeypatch.setitem(sys.modules, "ensurepip", None)
    with pytest.raises(SystemExit, match="apt install python3-venv"):
        bootstrap.check_interpreter()


def test_checks_stop_at_the_first_failure(bootstrap, capfd):
    commands = [("one", ["true"]), ("two", ["sh", "-c", "exit 5"]), ("three", ["true"])]
    assert bootstrap.run_in_order("test", commands) == 5
    shown = capfd.readouterr()
    assert "== two" in shown.out
    assert "three" not in shown.out
    assert "stopped at two (exit status 5)" in shown.err


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_installer_as_well(tmp_path, number):
    script = (
        "import signal, pathlib, bootstrap as b; b.CACHE = pathlib.Path(r'" + str(tmp_path) + "');"
        "[signal.signal(s, b.stop) for s in (signal.SIGINT, signal.SIGTERM)];"
        "b.together(lambda: b.run('Sleeping', 'sleep', ['sh', '-c', 'echo $$; exec sleep 60']))"
    )
    program = subprocess.Popen([sys.executable, "-c", script], cwd=ROOT, stderr=subprocess.PIPE, text=True)
    log = tmp_path / "logs" / "sleep.log"
    until = time.monotonic() + 20
    while time.monotonic() < until and not (log.is_file() and log.read_text().strip()):
        time.sleep(0.02)
    program.send_signal(number)
    _, shown = program.communicate(timeout=20)
    assert program.returncode == 128 + number
    assert "Stopped" in shown
    installer = int(log.read_text())
    while time.monotonic() < until and is_alive(installer):
        time.sleep(0.02)
    assert not is_alive(installer)


def is_alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


@pytest.mark.skipif(shutil.which("make") is None, reason="make is optional: bootstrap.py does the same")
def test_make_adds_nothing_to_standard_output():
    done = subprocess.run(
        ["make", "demo", "PYTHON=echo", "ARGS=--exit --json"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
        env={
            name: value
            for name, value in os.environ.items()
            if name not in {"MAKEFLAGS", "MAKELEVEL", "MFLAGS"}
        },
    )
    assert done.stdout == "bootstrap.py demo --exit --json\n"
    assert done.stderr == ""
