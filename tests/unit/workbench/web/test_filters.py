from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from workbench.web import filters

NOW = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (Decimal("1204.5"), "$1,204.50"), (0, "$0.00"), (Decimal("0.08"), "$0.08"), (Decimal("0.105"), "$0.105"),
        (Decimal("0.0042"), "$0.0042"), (-3, "\N{MINUS SIGN}$3.00"), (None, "\N{EN DASH}"),
    ],
)  # fmt: skip
def test_money(value: Decimal | None, shown: str) -> None:
    assert filters.money(value, "USD") == shown


def test_other_currencies_keep_their_name() -> None:
    assert filters.money(2, "CHF") == "CHF 2.00"


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (0.01, "under 0.1 s"),
        (0.4, "0.4 s"),
        (12, "12 s"),
        (252, "4 min 12 s"),
        (240, "4 min"),
        (7500, "2 h 5 min"),
        (273600, "3 d 4 h"),
    ],
)
def test_duration(seconds: float, shown: str) -> None:
    assert filters.duration(seconds) == shown


def test_ago() -> None:
    assert filters.ago(NOW - timedelta(seconds=20), NOW) == "just now"
    assert filters.ago(NOW - timedelta(minutes=3), NOW) == "3 min ago"
    assert filters.ago(NOW + timedelta(days=4), NOW) == "in 4 d"
    assert filters.ago(None, NOW) == "never"


def test_numbers_shares_and_intervals() -> None:
    assert filters.number(37331) == "37,331"
    assert filters.percent(0.364) == "36.4%"
    assert filters.estimate(0.81, 0.79, 0.83) == "0.81 (0.79\N{EN DASH}0.83)"
    assert filters.estimate(0.957, None, None, 1, share=True) == "95.7%"
    assert filters.plural(1, "item") == "1 item"
    assert filters.plural(2591, "person", "people") == "2,591 people"


def test_local_time_is_the_zones() -> None:
    assert filters.local(NOW, "Asia/Shanghai") == "02 Mar 2026 17:00"


def test_spark_lines_stay_inside_their_box() -> None:
    line, area = filters.spark_paths([1, 5, 3])
    assert line.startswith("M0.0 31.0 L100.0 3.0")
    assert area.endswith("L200 34 L0 34 Z")
    assert filters.spark_paths([1]) == ("", "")


def test_a_chart_brings_its_numbers_as_a_table() -> None:
    spec = {
        "layer": [
            {"data": {"values": [{"hour": "09", "items": 1234, "x": 1}, {"hour": "10", "items": None}]}}
        ],
        "usermeta": {"columns": {"hour": "Hour", "items": "Items"}},
    }
    assert filters.chart_table(spec) == (["Hour", "Items"], [["09", "1,234"], ["10", "\N{EN DASH}"]])
    assert filters.chart_table({"data": {"values": []}}) == ([], [])
