"""Projects set up from documents: once, again, changed, and refused."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import inspect, select, text

from tests.conftest import Clock
from tests.factories import make_items, make_server
from workbench.decisions.store import active_policy
from workbench.errors import AlreadyExists, Conflict, NotFound, WrongState
from workbench.model_versions.tables import ModelVersionRow
from workbench.outside import Outside
from workbench.people.store import find_pool, pool_ids, rate_cards_for
from workbench.people.tables import RateCardRow
from workbench.prelabeling.tables import PredictionRow
from workbench.projects.domain import ProjectState
from workbench.projects.reading import read_document, read_file
from workbench.projects.specification import ProjectSpecification
from workbench.projects.store import find_project, guideline_of_project, labels_of_project
from workbench.setup.service import change_settings, set_project_state, set_up_project

EXAMPLE = Path(__file__).parents[3] / "configs" / "projects" / "short-video-comment-safety.yaml"


def document(**values: Any) -> dict[str, Any]:
    return {
        "id": "spam", "title": "Spam", "labels": [{"value": "spam"}, {"value": "ham"}],
        "pools": [{"id": "readers", "price": 0.08}], **values,
    }  # fmt: skip


def spec(**values: Any) -> ProjectSpecification:
    return read_document(document(**values))


def snapshot(outside: Outside) -> dict[str, list[Any]]:
    """Every row of every table."""
    with outside.db.read() as session:
        names = inspect(session.get_bind()).get_table_names()
        return {
            name: [tuple(row) for row in session.execute(text(f"SELECT * FROM {name}"))] for name in names
        }


def test_the_full_example_is_set_up_with_pools_prices_policy_and_guideline(outside: Outside) -> None:
    done = set_up_project(outside, read_file(EXAMPLE), "pm@example.org")
    assert done.created
    assert "alerts" in done.kept
    assert any("not yet evaluated" in note for note in done.notes)
    with outside.db.read() as session:
        project = find_project(session, "short-video-comment-safety")
        assert project.time_zone == "Asia/Shanghai"
        assert project.baseline_price == Decimal("0.159")
        labels = labels_of_project(session, project.id)
        assert [label.value for label in labels][-1] == "none"
        assert labels[1].severity == "critical"
        assert labels[1].miss_cost == 20
        pools = pool_ids(session)
        assert {"en-safety", "en-review", "zh-safety", "adjudicate"} == set(pools)
        assert project.adjudication_pool_id == pools["adjudicate"]
        policy = active_policy(session, project.id)
        assert policy is not None
        assert policy.document["audit_rate"] == 0.03
        assert policy.document["promise"]["kind"] == "exact-audit-plan"
        guideline = guideline_of_project(session, project.id)
        assert guideline is not None
        assert guideline.version == "4.2"
        assert guideline.effective_at.isoformat() == "2026-11-01T16:00:00+00:00"  # midnight in Shanghai


def test_the_same_document_twice_changes_nothing(outside: Outside) -> None:
    set_up_project(outside, read_file(EXAMPLE), "pm@example.org")
    before = snapshot(outside)
    again = set_up_project(outside, read_file(EXAMPLE), "somebody@example.org")
    assert again.unchanged
    assert "nothing changed" in again.sentences()[0]
    assert snapshot(outside) == before


titles = st.text(st.characters(categories=["L", "N", "Zs"]), min_size=1, max_size=20)
documents = st.fixed_dictionaries(
    {
        "title": titles,
        "labels": st.lists(st.sampled_from(["a", "b", "c", "d"]), min_size=2, max_size=4, unique=True).map(
            lambda values: [{"value": value} for value in values]
        ),
        "pools": st.lists(st.sampled_from(["one", "two", "three"]), min_size=1, unique=True).flatmap(
            lambda keys: st.tuples(
                *(
                    st.fixed_dictionaries({"id": st.just(key), "price": st.sampled_from([0.1, 0.2])})
                    for key in keys
                )
            ).map(list)
        ),
        "routing": st.fixed_dictionaries(
            {"accept_at": st.sampled_from([None, 0.5, 0.9]), "overlap": st.integers(1, 3)}
        ),
    }
)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(first=documents, second=documents)
def test_property_apply_twice_is_apply_once(
    outside: Outside, first: dict[str, Any], second: dict[str, Any]
) -> None:
    for given_document in (first, second, second):
        specification = read_document({"id": "p", **given_document})
        set_up_project(outside, specification, "x")
        before = snapshot(outside)
        assert set_up_project(outside, specification, "x").unchanged
        assert snapshot(outside) == before


def test_changes_are_listed_field_by_field(outside: Outside) -> None:
    set_up_project(outside, spec(), "x")
    labels = [{"value": "spam", "severity": "low"}, {"value": "ham"}]
    done = set_up_project(outside, spec(title="Spam!", labels=labels, routing={"accept_at": 0.9}), "x")
    assert [change.sentence() for change in done.changes] == [
        'title: "Spam" → "Spam!"',
        'labels[spam].severity: added "low"',
        "routing: added {accept_at: 0.9}",
    ]
    with outside.db.read() as session:
        policy = active_policy(session, find_project(session, "spam").id)
        assert policy is not None
        assert policy.version == 2


def test_dry_run_tells_and_writes_nothing(outside: Outside) -> None:
    before = snapshot(outside)
    assert "would be created" in set_up_project(outside, spec(), "x", dry_run=True).sentences()[0]
    assert snapshot(outside) == before
    set_up_project(outside, spec(), "x")
    before = snapshot(outside)
    assert "would change" in set_up_project(outside, spec(title="Other"), "x", dry_run=True).sentences()[0]
    assert snapshot(outside) == before


def test_must_be_new(outside: Outside) -> None:
    set_up_project(outside, spec(), "x", must_be_new=True)
    with pytest.raises(AlreadyExists, match="there is a project `spam` already"):
        set_up_project(outside, spec(), "x", must_be_new=True)


def test_labels_in_use_cannot_go_and_unused_ones_can(outside: Outside) -> None:
    three = [{"value": "spam"}, {"value": "ham"}, {"value": "odd"}]
    set_up_project(outside, spec(labels=three), "x")
    with outside.db.write() as session:
        project = find_project(session, "spam")
        (item,) = make_items(session, project, 1)
        version = ModelVersionRow(
            project_id=project.id, name="m", version=1, kind="keyword", specification={}, card={}, stage="live",
            price_per_hour=Decimal(0), created_at=outside.now(), created_by="x",
        )  # fmt: skip
        session.add(version)
        session.flush()
        session.add(
            PredictionRow(
                item_id=item.id,
                model_version_id=version.id,
                label="spam",
                distribution=[],
                failure="",
                cost=Decimal(0),
                created_at=outside.now(),
            )
        )
    set_up_project(outside, spec(), "x")
    with pytest.raises(Conflict, match="label `spam` is in use and cannot be removed"):
        set_up_project(outside, spec(labels=[{"value": "ham"}, {"value": "odd"}]), "x")


def test_the_screen_stays_once_people_have_answered(
    outside: Outside, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_up_project(outside, spec(), "x")
    monkeypatch.setattr("workbench.setup.store.annotations_of", lambda session, project_id: 1)
    assert set_up_project(outside, spec(title="Other title"), "x").changes
    with pytest.raises(Conflict, match=r"people have answered with them\. Make a new project"):
        set_up_project(outside, spec(question="Is it?"), "x")


@pytest.mark.parametrize(
    "changed",
    [
        {"text_field": "body"},
        {
            "labels": [],
            "label_config": '<View><Text name="t" value="$body"/><Choices name="c" toName="t" choice="single">'
            '<Choice value="spam"/><Choice value="ham"/></Choices></View>',
        },
    ],
)
def test_the_text_that_is_shown_stays_once_there_are_items(outside: Outside, changed: dict[str, Any]) -> None:
    set_up_project(outside, spec(), "x")
    assert set_up_project(outside, spec(**changed), "x").changes  # while there are none
    set_up_project(outside, spec(), "x")
    with outside.db.write() as session:
        make_items(session, find_project(session, "spam"), 1)
    before = snapshot(outside)
    with pytest.raises(
        Conflict, match="cannot change from `text` to `body` any more, because the project has items"
    ):
        set_up_project(outside, spec(**changed), "x")
    assert snapshot(outside) == before
    assert set_up_project(outside, spec(title="Other title"), "x").changes


def test_a_limit_of_overlap_is_kept_and_said_to_be(outside: Outside) -> None:
    assert "routing.overlap_limit" in set_up_project(outside, spec(routing={"overlap_limit": 3}), "x").kept
    assert "routing.overlap_limit" not in set_up_project(outside, spec(), "x").kept


def test_order_of_labels_can_change(outside: Outside) -> None:
    set_up_project(outside, spec(), "x")
    done = set_up_project(outside, spec(labels=[{"value": "ham"}, {"value": "spam"}]), "x")
    assert [change.path for change in done.changes] == ["labels (order)"]
    with outside.db.read() as session:
        assert [label.value for label in labels_of_project(session, find_project(session, "spam").id)] == [
            "ham",
            "spam",
        ]


def price_now(outside: Outside) -> list[Decimal]:
    with outside.db.read() as session:
        pool = find_pool(session, pool_ids(session)["readers"])
        return [
            card.price
            for card in rate_cards_for(session, find_project(session, "spam").id, pool, outside.now())
        ]


def test_a_new_price_holds_from_now_and_the_old_one_stays_on_record(outside: Outside, clock: Clock) -> None:
    set_up_project(outside, spec(), "x")
    assert price_now(outside) == [Decimal("0.08")]
    clock.forward(days=1)
    set_up_project(outside, spec(pools=[{"id": "readers", "price": 0.1}]), "x")
    assert price_now(outside) == [Decimal("0.1")]
    clock.forward(days=-1)
    assert price_now(outside) == [Decimal("0.08")]
    clock.forward(days=2)
    set_up_project(outside, spec(pools=[{"id": "readers"}]), "x")
    assert price_now(outside) == []


def test_rates_by_day_follow_one_another(outside: Outside, clock: Clock) -> None:
    rates = [
        {"skill": "readers", "price": 1, "from": "2026-01-01"},
        {"skill": "readers", "price": 2, "from": "2026-04-01"},
    ]
    one = spec(pools=[], suppliers=[{"id": "acme", "rates": rates}])
    set_up_project(outside, one, "x")
    assert price_now(outside) == [Decimal(1)]
    clock.forward(days=60)
    assert price_now(outside) == [Decimal(2)]
    later = [*rates, {"skill": "readers", "price": 3, "from": "2026-06-01"}]
    set_up_project(outside, spec(pools=[], suppliers=[{"id": "acme", "rates": later}]), "x")
    assert price_now(outside) == [Decimal(2)]
    clock.forward(days=60)
    assert price_now(outside) == [Decimal(3)]
    with outside.db.read() as session:
        assert len(list(session.scalars(select(RateCardRow)))) == 3


def test_a_pool_of_another_supplier_is_not_taken(outside: Outside) -> None:
    set_up_project(outside, spec(), "x")
    rates = [{"skill": "readers", "price": 1}]
    with pytest.raises(Conflict, match="there is a pool `readers` already, of another supplier than Acme"):
        set_up_project(
            outside, spec(id="two", pools=[], suppliers=[{"id": "acme", "name": "Acme", "rates": rates}]), "x"
        )


def test_an_unknown_server_is_named_with_the_nearest(outside: Outside) -> None:
    with outside.db.write() as session:
        make_server(session, name="studio")
    with pytest.raises(NotFound, match="no Label Studio server `studo`; did you mean `studio`"):
        set_up_project(outside, spec(server="studo"), "x")
    set_up_project(outside, spec(server="studio"), "x")


def test_states(outside: Outside) -> None:
    set_up_project(outside, spec(), "x")
    set_state: Callable[[ProjectState], str] = lambda state: set_project_state(outside, "spam", state)  # noqa: E731
    assert set_state(ProjectState.PAUSED) == "paused"
    assert set_state(ProjectState.CLOSED) == "closed"
    with pytest.raises(WrongState, match="project `spam` is closed; open it again first"):
        set_state(ProjectState.PAUSED)
    assert set_state(ProjectState.ACTIVE) == "active"
    with pytest.raises(NotFound, match="no project `spm`; did you mean `spam`"):
        set_project_state(outside, "spm", ProjectState.PAUSED)


def test_settings_change_single_fields(outside: Outside) -> None:
    set_up_project(outside, spec(), "x")
    done = change_settings(
        outside, "spam", {"budget.all_human_baseline_per_label": "0.2", "title": "New"}, "x"
    )
    assert [change.path for change in done.changes] == ["title", "budget"]
    assert change_settings(outside, "spam", {"title": "New"}, "x").unchanged
