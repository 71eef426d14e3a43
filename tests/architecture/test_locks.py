import re

import pytest

from tests.architecture.sources import ROOT

LOCKS = ROOT / "configs" / "locks"
HASHED = ("app", "dev", "encoder", "htmx", "label-studio")


def requirements(name: str) -> list[str]:
    """The lock's requirements, each with its hashes on one line."""
    text = (LOCKS / f"{name}.txt").read_text("utf-8").replace("\\\n", " ")
    return [line for line in text.splitlines() if line.strip() and not line.startswith("#")]


def versions(name: str) -> dict[str, str]:
    return dict(line.split()[0].split("==") for line in requirements(name))


@pytest.mark.parametrize("name", HASHED)
def test_every_line_is_one_version_with_hashes(name):
    pinned = re.compile(
        r"[a-z0-9][a-z0-9._-]*(\[[a-z,-]+\])?==[^ ;]+( *;[^#]+?)?( +--hash=sha256:[0-9a-f]{64})+ *"
    )
    assert requirements(name)
    assert [line for line in requirements(name) if not pinned.fullmatch(line)] == []


def test_torch_alone_has_no_hash():
    assert sorted(it.stem for it in LOCKS.glob("*.txt")) == sorted([*HASHED, "torch"])
    assert requirements("torch") == ["torch==2.13.0"]


def test_the_test_tools_agree_with_the_application():
    app, dev = versions("app"), versions("dev")
    assert {name: dev[name] for name in app.keys() & dev if app[name] != dev[name]} == {}


@pytest.mark.parametrize("name", ["app", "dev", "label-studio"])
def test_each_wish_is_in_its_lock(name):
    text = (LOCKS / f"{name}.in").read_text("utf-8")
    wished = re.findall(r"^([A-Za-z0-9._-]+)", text, re.MULTILINE)
    locked = {re.sub(r"\[.*", "", it).replace("_", "-").replace(".", "-") for it in versions(name)}
    locked |= {it.replace(".", "-") for it in versions("app")}
    assert {it for it in wished if it.lower().replace("_", "-").replace(".", "-") not in locked} == set()
