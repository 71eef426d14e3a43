import secrets
from decimal import Decimal
from pathlib import Path

import pytest
from sqlalchemy import delete, select

from tests.factories import NOW, make_items, make_project
from tests.integration.line.world import Run
from workbench.errors import WrongState
from workbench.items.domain import ItemState
from workbench.items.tables import ItemPartRow
from workbench.labels.tables import LabelRow
from workbench.model_versions.store import live_version
from workbench.model_versions.tables import ModelVersionRow
from workbench.training.jobs import run, train
from workbench.training.store import examples_of

SAID = {"Positive": "what a lovely good day", "Neutral": "it is a box", "Negative": "awful, broken, bad"}


def add_label(session, project, item, label, **values):
    given = {
        "project_id": project.id,
        "item_id": item.id,
        "revision": 1,
        "label": label,
        "source": "people",
        "method": "majority",
        "annotations": 1,
        "share": 1.0,
        "reason": "",
        "cost": Decimal(0),
        "resolved_at": NOW,
    } | values
    session.add(LabelRow(**given))


@pytest.fixture
def project_id(outside):
    """Twelve items labelled by people, and others that must not be learnt from."""
    with outside.db.write() as session:
        project = make_project(session)
        items = make_items(session, project, 16, ItemState.RESOLVED)
        for n, item in enumerate(items[:12]):
            label = list(SAID)[n % 3]
            session.scalars(
                select(ItemPartRow).where(ItemPartRow.item_id == item.id)
            ).one().text = f"{SAID[label]} {n}"
            add_label(session, project, item, label)
        add_label(session, project, items[12], "Negative", source="machine", method="accepted")
        add_label(session, project, items[13], "Negative", superseded_at=NOW)
        add_label(session, project, items[14], "Neutral")
        session.flush()
        session.execute(delete(ItemPartRow).where(ItemPartRow.item_id == items[14].id))
        return project.id


def test_only_standing_labels_from_people_are_learnt(outside, project_id):
    with outside.db.read() as session:
        examples = examples_of(session, project_id, "text")
    assert [item_id for item_id, _, _ in examples] == list(range(1, 13))
    assert all(text.startswith(SAID[label]) for _, text, label in examples)


def test_the_same_labels_give_the_same_bytes_and_the_same_version(outside, project_id):
    made = [Path(train(outside, project_id, "own", job)["folder"]) for job in ("job-a", "job-a", "job-b")]
    files = [{path.name: path.read_bytes() for path in folder.iterdir()} for folder in made]
    assert made[0] == made[1] != made[2]
    assert files[0] == files[1] == files[2]
    assert set(files[0]) == {"head.safetensors", "head.json"}

    arguments = {"project_id": project_id, "name": "own", "by": "t", "go_live": True}
    first = run(Run(outside), arguments)
    again = run(Run(outside), arguments)
    assert (first["examples"], first["last_item_id"], first["version"], first["stage"]) == (12, 12, 1, "live")
    assert again["model_version_id"] == first["model_version_id"]
    with outside.db.read() as session:
        live = live_version(session, project_id)
        assert session.query(ModelVersionRow).count() == 1
    assert live is not None
    assert live.card["trained_items"] == 12


def test_a_head_stays_on_the_shelf_unless_it_is_to_go_live(outside, project_id):
    arguments = {"project_id": project_id, "name": "own", "by": "t", "go_live": False}
    assert run(Run(outside), arguments)["stage"] == "registered"
    with outside.db.read() as session:
        assert live_version(session, project_id) is None


def test_without_labels_from_people_it_says_so(outside):
    with outside.db.write() as session:
        project = make_project(session, secrets.token_hex(4))
    with pytest.raises(WrongState, match="no item has a label from people yet"):
        train(outside, project.id, "own", "job")
