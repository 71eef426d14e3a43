"""Charts of a supplier's pages."""

from __future__ import annotations

from typing import Any

from workbench.suppliers.domain import Progress


def answers_by_day(progress: Progress) -> dict[str, Any]:
    """Usable answers a day, over seven days."""
    return {
        "height": 160,
        "data": {"values": [{"day": day, "answers": count} for day, count in progress.by_day]},
        "mark": {"type": "bar", "cornerRadiusEnd": 2},
        "encoding": {
            "x": {"field": "day", "type": "ordinal", "title": None, "axis": {"labelAngle": 0}},
            "y": {"field": "answers", "type": "quantitative", "title": "answers"},
        },
        "usermeta": {"columns": {"day": "Day", "answers": "Answers"}},
    }
