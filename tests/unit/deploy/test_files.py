"""The service files and the compose file are valid, and speak of commands and settings that there are."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from ruamel.yaml import YAML
from typer.main import get_command

from tests.architecture.sources import ROOT
from workbench.cli.main import app
from workbench.settings import Settings

DEPLOY = ROOT / "deploy"
UNITS = sorted((DEPLOY / "systemd").glob("*.service"))
TEXTS = [*UNITS, DEPLOY / "compose.yaml", DEPLOY / "Dockerfile", ROOT / "docs" / "deployment.md"]


@pytest.mark.parametrize("unit", UNITS, ids=lambda it: it.name)
def test_systemd_takes_the_unit(unit: Path, tmp_path: Path):
    tool = shutil.which("systemd-analyze")
    assert tool, "systemd-analyze is missing; install it: apt install systemd"
    # The paths of an installation, in the place of those of this checkout; everything else as it is.
    name = unit.name.replace("@", "@1") if "@" in unit.name else unit.name
    text = unit.read_text("utf-8").replace("/opt/workbench/.venv/bin/workbench", sys.executable)
    (tmp_path / name).write_text(text.replace("User=workbench", "User=root"), "utf-8")
    done = subprocess.run(
        [tool, "verify", "--recursive-errors=no", "--man=no", tmp_path / name],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr + done.stdout) == (0, "")


def test_compose_takes_the_file():
    tool = Path(sys.executable).with_name("check-jsonschema")
    done = subprocess.run(
        [tool, "--builtin-schema", "vendor.compose-spec", DEPLOY / "compose.yaml"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout


def test_compose_asks_only_for_what_the_example_names():
    text = (DEPLOY / "compose.yaml").read_text("utf-8")
    example = (DEPLOY / "env.example").read_text("utf-8")
    assert set(re.findall(r"\$\{(\w+)", text)) == set(re.findall(r"^(\w+)=", example, re.MULTILINE))
    services = YAML(typ="safe").load(text)["services"]
    assert all(":" in one.get("image", "built:here") for one in services.values())
    # Nothing but the proxy on the same machine reaches a port.
    ports = [port for one in services.values() for port in one.get("ports", [])]
    assert ports
    assert all(port.startswith("127.0.0.1:") for port in ports)


@pytest.mark.parametrize("path", TEXTS, ids=lambda it: it.name)
def test_every_setting_and_command_is_real(path: Path):
    text = path.read_text("utf-8")
    settings = {f"WORKBENCH_{name.upper()}" for name in Settings.model_fields}
    assert set(re.findall(r"WORKBENCH_[A-Z_]+", text)) - settings - {"WORKBENCH_DEBUG"} == set()
    commands = get_command(app).commands  # type: ignore[attr-defined]
    called = re.findall(
        r"bin/workbench ([a-z]+)|\"workbench\", \"([a-z]+)\"|^workbench ([a-z]+)", text, re.MULTILINE
    )
    assert {name for names in called for name in names if name} - set(commands) == set()


def test_no_secret_is_given():
    for path in DEPLOY.rglob("*"):
        if path.is_file():
            assert not re.search(
                r"(PASSWORD|SECRET|TOKEN|KEY)\w*[=:] *['\"]?(?!/)[A-Za-z0-9/+]{8,}", path.read_text("utf-8")
            )
