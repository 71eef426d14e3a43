"""Templates and the label configs and policies that ship with the product can all be used."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from routing.policy import parse_policy
from workbench.projects.label_config import read_screen
from workbench.projects.reading import read_document
from workbench.projects.starters import STARTERS, Starter, starter
from workbench.setup.form import NewProject

CONFIGS = Path(__file__).parents[4] / "configs"


@pytest.mark.parametrize("one", STARTERS, ids=lambda one: one.key)
def test_each_template_makes_a_project_and_has_its_label_config(one: Starter) -> None:
    form = NewProject.from_starter(one)
    titled = NewProject({**form.values, "title": one.title}, form.labels)
    specification = read_document(titled.document())
    screen = read_screen((CONFIGS / "label_configs" / f"{one.key}.xml").read_text("utf-8"))
    assert list(screen.labels) == [label.value for label in specification.labels]
    assert screen.text_field == "text"


def test_an_unknown_template_is_the_first() -> None:
    assert starter("nope") is STARTERS[0]


@pytest.mark.parametrize("path", sorted((CONFIGS / "policies").glob("*.json")), ids=lambda path: path.stem)
def test_each_policy_can_be_read(path: Path) -> None:
    assert parse_policy(json.loads(path.read_text("utf-8")), labels=["a", "b"]).rules
