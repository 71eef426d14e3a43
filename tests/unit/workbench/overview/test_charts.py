"""Every chart is a specification that Vega-Lite accepts, with the numbers it was given."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
import vl_convert

from workbench.overview import charts
from workbench.overview.domain import Confusion, CostOfKind, PersonFigures, Point

START = datetime(2026, 3, 2, 23, 30, tzinfo=UTC)
PEOPLE = [PersonFigures(1, "Ada <b>", 12, 10, 2, 1, 0, 4.0, 3.5, 300.0)]
SPECIFICATIONS = {
    "resolved": charts.resolved_over_time(
        [Point(START + timedelta(minutes=i), i, 2, 0.1) for i in range(5)], "Europe/Berlin"
    ),
    "confidence": charts.confidence_histogram(
        [(0.5, "people", 3), (0.9, "accept", 4), (0.9, "people", 1)], 0.05, 0.8
    ),
    "no threshold": charts.confidence_histogram([], 0.05, None),
    "cost": charts.cost_against_baseline(
        [CostOfKind("human_item", Decimal("1.5"), 3), CostOfKind("machine", Decimal("0.01"), 9)],
        Decimal(4),
        "a",
        "EUR",
    ),
    "people": charts.throughput_by_person(PEOPLE),
    "confusion": charts.confusion_heat_map(Confusion(("a", "b"), ((3, 1), (0, 0)), blind=True)),
}


@pytest.mark.parametrize("name", list(SPECIFICATIONS))
def test_vega_lite_draws_it(name: str) -> None:
    text = json.dumps({**SPECIFICATIONS[name], "width": 400})
    for colour in ("accent", "good", "warn", "muted", "text", "card"):
        text = text.replace(f'"${colour}"', '"#456"')
    assert "<svg" in vl_convert.vegalite_to_svg(text)


def test_time_is_shown_in_the_zone_of_the_project_and_adds_up() -> None:
    values = SPECIFICATIONS["resolved"]["data"]["values"]
    assert values[0]["time"] == "2026-03-03T00:30:00"
    assert {one["by"]: one["items"] for one in values} == {"people": 10, "machine": 10}


def test_bars_of_one_confidence_stand_on_each_other() -> None:
    values = SPECIFICATIONS["confidence"]["layer"][0]["data"]["values"]
    assert [(one["bottom"], one["top"]) for one in values if one["low"] == 0.9] == [(0, 4), (4, 5)]


def test_cells_print_their_number_and_share() -> None:
    words = [one["words"] for one in SPECIFICATIONS["confusion"]["data"]["values"]]
    assert words == ["3 · 75%", "1 · 25%", "0", "0"]


@pytest.mark.parametrize(("minutes", "form"), [(3, "%H:%M:%S"), (90, "%H:%M"), (60 * 24 * 3, "%d %b")])
def test_times_on_an_axis_do_not_repeat(minutes: int, form: str) -> None:
    points = [Point(START, 1, 1, 0.1), Point(START + timedelta(minutes=minutes), 1, 1, 0.1)]
    axis = charts.resolved_over_time(points, "UTC")["encoding"]["x"]["axis"]
    assert axis["format"] == form


def test_money_on_an_axis_has_its_currency() -> None:
    assert SPECIFICATIONS["cost"]["encoding"]["x"]["title"] == "EUR"
