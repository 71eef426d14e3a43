"""The figures of a project, counted from rows, are the same by function, API and page."""

from __future__ import annotations

from decimal import Decimal

import pytest
from sqlalchemy import select

from tests.factories import NOW, make_items, make_project
from tests.integration.overview.plausible import Plausible, plausible_project
from tests.integration.web.clients import client_as
from workbench.items.tables import ItemRow
from workbench.labels.tables import LabelRow
from workbench.outside import Outside
from workbench.overview.definitions import DEFINITIONS
from workbench.overview.figures import Figures, project_figures
from workbench.overview.series import project_series


@pytest.fixture
def made(outside: Outside) -> Plausible:
    return plausible_project(outside)


def figures_of(outside: Outside, made: Plausible) -> Figures:
    with outside.db.read() as session:
        return project_figures(session, made.project, NOW)


def test_every_headline_figure_is_what_was_counted_while_making_the_rows(
    outside: Outside, made: Plausible
) -> None:
    found = figures_of(outside, made).headline()
    for name in ("items", "predicted", "accepted", "sent_to_people", "audited", "annotations_received",
                 "above_overlap", "annotators", "resolved"):  # fmt: skip
        assert found[name] == made.expected[name], name
    assert found["cost_total"] == pytest.approx(float(made.expected["cost_total"]), abs=1e-9)
    assert found["saved_share"] == round(made.expected["untouched"] / made.expected["resolved"], 4)
    assert found["error_vs_reference"] == round(made.expected["wrong"] / made.expected["referenced"], 4)
    assert found["model_human_agreement"] == round(made.expected["same"] / made.expected["compared"], 4)


def test_agreement_has_an_interval_that_stays_the_same_for_the_same_data(
    outside: Outside, made: Plausible
) -> None:
    one, other = figures_of(outside, made).agreement, figures_of(outside, made).agreement
    assert one == other
    assert one.alpha is not None
    assert one.alpha.low is not None
    assert one.alpha.high is not None
    assert one.alpha.low < one.alpha.value < one.alpha.high


def test_agreement_of_few_items_is_not_enough(outside: Outside) -> None:
    made = plausible_project(outside, n_items=40)
    found = figures_of(outside, made).agreement
    assert found.n_items < 30
    assert found.alpha is None
    assert not found.enough


def test_money_saved_is_the_stated_baseline_less_the_cost(outside: Outside, made: Plausible) -> None:
    found = figures_of(outside, made)
    assert found.cost_baseline == Decimal("0.08") * found.resolved
    assert found.money_saved == found.cost_baseline - found.cost_total


@pytest.mark.parametrize("source", ["machine", "people"])
def test_an_item_that_went_back_to_people_is_not_resolved(
    outside: Outside, made: Plausible, source: str
) -> None:
    before = figures_of(outside, made)
    with outside.db.write() as session:
        label = session.scalars(
            select(LabelRow)
            .where(LabelRow.source == source, LabelRow.superseded_at.is_(None))
            .order_by(LabelRow.id.desc())
        ).first()
        assert label is not None
        session.get_one(ItemRow, label.item_id).state = "queued"
    after = figures_of(outside, made)
    with outside.db.read() as session:
        course = project_series(session, made.project.id, "USD", after.rate.hours)
    by_machine = int(source == "machine")
    assert (after.resolved, after.accepted) == (before.resolved - 1, before.accepted - by_machine)
    assert after.untouched.hits == before.untouched.hits - by_machine
    assert after.untouched.of == after.resolved
    assert after.error.all.of == before.error.all.of - 1
    assert after.cost_baseline == Decimal("0.08") * after.resolved
    assert course.resolved[-1] == after.resolved


def test_a_new_project_has_zeros_and_no_shares(outside: Outside) -> None:
    with outside.db.write() as session:
        project = make_project(session, "empty-one")
    with outside.db.read() as session:
        found = project_figures(session, project, NOW).headline()
    assert found["items"] == 0
    assert found["resolved"] == 0
    assert found["saved_share"] is None
    assert found["agreement_alpha"] is None
    assert found["items_per_hour"] is None


def test_api_gives_the_same_numbers_as_the_function(outside: Outside, made: Plausible) -> None:
    response = client_as(outside).get("/api/v1/projects/reviews/figures")
    assert response.status_code == 200
    expected = figures_of(outside, made).to_json()
    found = response.json()
    assert {name: found[name] for name in expected if name != "at"} == {
        name: value for name, value in expected.items() if name != "at"
    }


def test_the_page_shows_the_numbers(outside: Outside, made: Plausible) -> None:
    page = client_as(outside).get("/projects/reviews")
    assert page.status_code == 200
    found = figures_of(outside, made)
    for shown in (
        f"{found.resolved:,}", f"of {found.items:,}", f"{found.untouched.value:.1%}",
        f"{found.agreement.alpha.value:.2f}", f"{found.model_agreement.value:.1%}", f"${found.cost_total:,.2f}",
        f"{found.rate.all:,.0f}",
    ):  # fmt: skip
        assert shown in page.text, shown


def test_who_may_not_see_money_gets_none(outside: Outside, made: Plausible) -> None:
    from workbench.overview.figures import Figures

    assert not {"cost", "cost_total"} & Figures.without_costs(figures_of(outside, made)).keys()


@pytest.mark.parametrize("part", ["top", "charts", "tables"])
def test_parts_of_the_page_can_be_fetched_alone(outside: Outside, made: Plausible, part: str) -> None:
    page = client_as(outside).get(f"/projects/reviews/overview/{part}")
    assert page.status_code == 200
    assert "<html" not in page.text


def test_the_page_of_a_new_project_says_what_to_do_next(outside: Outside) -> None:
    with outside.db.write() as session:
        make_project(session, "empty-one")
    page = client_as(outside).get("/projects/empty-one")
    assert page.status_code == 200
    assert "/projects/empty-one/import" in page.text


def test_a_project_with_unpredicted_items_alone_has_a_page(outside: Outside) -> None:
    with outside.db.write() as session:
        make_items(session, make_project(session, "fresh"), 3)
    page = client_as(outside).get("/projects/fresh")
    assert page.status_code == 200
    assert "No Label Studio is connected" in page.text


def test_every_figure_of_the_headline_has_a_definition(outside: Outside, made: Plausible) -> None:
    missing = figures_of(outside, made).headline().keys() - DEFINITIONS.keys() - {"currency"}
    assert missing == set()
