"""Why an item has its label: one statement, the same on both databases."""

import pytest
from sqlalchemy import event, select, text

from tests.integration.overview.plausible import plausible_project
from workbench.errors import NotFound
from workbench.items.domain import ItemState
from workbench.items.tables import ItemRow
from workbench.labels.tables import LabelRow
from workbench.overview.item_pages.why import SEALED, statement_text, why_label


@pytest.fixture
def project_id(outside):
    return plausible_project(outside).project.id


def label_of(session, project_id, source):
    return session.execute(
        select(ItemRow, LabelRow)
        .join(LabelRow, LabelRow.item_id == ItemRow.id)
        .where(ItemRow.project_id == project_id, LabelRow.source == source, LabelRow.superseded_at.is_(None))
        .order_by(ItemRow.id.desc())
    ).first()


def test_a_label_by_people_leads_back_to_the_file(outside, project_id):
    with outside.db.read() as session:
        item, label = label_of(session, project_id, "people")
        steps = why_label(session, project_id, item.public_id)
        assert steps[0].kind == "label"
        assert steps[0].label == label.label
        assert steps[-1].kind == "import"
        assert steps[-1].how == "items.csv"
        answers = [s for s in steps if s.kind == "answer"]
        assert answers
        assert all(s.who and s.counted is not None and s.blind is not None for s in answers)
        assert any(s.pay is not None and s.pay > 0 and s.currency == "USD" for s in answers)
        assert all(s.pay is None for s in why_label(session, project_id, item.public_id, with_pay=False))
        assert why_label(session, project_id, item.external_id) == steps


def test_a_label_by_the_machine_names_rule_policy_and_version(outside, project_id):
    with outside.db.read() as session:
        item, _ = label_of(session, project_id, "machine")
        steps = {s.kind: s for s in why_label(session, project_id, item.public_id)}
    assert steps["label"].who == "machine"
    assert "answer" not in steps
    assert "rule" in steps["decision"].how
    assert steps["decision"].version
    assert "@" in steps["prediction"].who
    assert steps["prediction"].confidence > 0.5


def test_what_is_sealed_stays_sealed(outside, project_id):
    with outside.db.read() as session:
        ids = session.scalars(
            select(ItemRow.public_id).where(
                ItemRow.project_id == project_id,
                ItemRow.state.in_([ItemState.QUEUED, ItemState.IN_LABELING]),
            )
        ).all()
        assert ids
        for public_id in ids[:20]:
            steps = why_label(session, project_id, public_id)
            decisions = [s for s in steps if s.kind == "decision"]
            if decisions:
                assert decisions[-1].how == SEALED
                assert decisions[-1].label is None
            assert all(s.blind is None for s in steps if s.kind == "answer")


def test_it_is_one_statement(outside, project_id):
    seen = []
    with outside.db.read() as session:
        item, _ = label_of(session, project_id, "people")
        public_id = item.public_id
    with outside.db.read() as session:
        event.listen(outside.db.reader, "before_cursor_execute", lambda *given: seen.append(given[2]))
        why_label(session, project_id, public_id)
    assert len([one for one in seen if "SELECT" in one]) == 1
    with outside.db.read() as session:
        printed = statement_text(session, project_id, public_id)
        rows = session.execute(text(printed.replace(":", "\\:"))).all()
        assert len(rows) == len(why_label(session, project_id, public_id))


def test_an_item_that_is_not_there(outside, project_id):
    with outside.db.read() as session, pytest.raises(NotFound, match="no item nothing"):
        why_label(session, project_id, "nothing")
