"""Rows to Vega-Lite specifications; "$accent" and the like stand for the theme's colours."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from workbench.overview.domain import Confusion, CostOfKind, PersonFigures, Point

_WIDE: dict[str, Any] = {"width": "container", "autosize": {"type": "fit", "contains": "padding"}}
_HEIGHT = 230
OUTCOMES = {"accept": "accepted", "people": "sent to people", "undecided": "not decided yet"}
KINDS = {
    "human_item": "people, per item",
    "human_hour": "people, per hour",
    "item": "people, per item",
    "hour": "people, per hour",
    "machine": "machine",
}


def kind_words(kind: str) -> str:
    """A kind of cost as readers call it."""
    return KINDS.get(kind, kind.replace("_", " "))


def resolved_over_time(points: Sequence[Point], zone: str) -> dict[str, Any]:
    """Items resolved so far, the machine's and people's stacked, in the project's time zone."""
    local = ZoneInfo(zone)
    values, machine, people = [], 0, 0
    for point in points:
        machine += point.machine
        people += point.people
        at = point.start.astimezone(local).strftime("%Y-%m-%dT%H:%M:%S")
        values.append({"time": at, "by": "people", "items": people})
        values.append({"time": at, "by": "machine", "items": machine})
    return {
        **_WIDE,
        "height": _HEIGHT,
        "data": {"values": values},
        "usermeta": {"columns": {"time": "Time", "by": "Resolved by", "items": "Items so far"}},
        "mark": {"type": "area", "opacity": 0.8, "line": False, "interpolate": "monotone"},
        "encoding": {
            "x": {
                "field": "time",
                "type": "temporal",
                "title": None,
                "axis": {
                    "labelOverlap": True,
                    "tickCount": 6,
                    "format": _time_format(points),
                },
            },
            "y": {"field": "items", "type": "quantitative", "stack": True, "title": "Items"},
            "color": _colours("by", {"people": "$accent", "machine": "$good"}),
            "order": {"field": "by", "sort": "descending"},
        },
    }


def _time_format(points: Sequence[Point]) -> str:
    span = points[-1].start - points[0].start if points else timedelta(0)
    if span > timedelta(days=2):
        return "%d %b"
    return "%H:%M" if span > timedelta(minutes=10) else "%H:%M:%S"


def confidence_histogram(
    bins: Sequence[tuple[float, str, int]], width: float, threshold: float | None
) -> dict[str, Any]:
    """Predictions by confidence, coloured by what became of the item, with the acceptance threshold."""
    values, tops = [], dict[float, int]()
    for low, outcome, items in sorted(bins):
        bottom = tops.get(low, 0)
        tops[low] = bottom + items
        values.append(
            {
                "low": round(low, 4),
                "high": round(low + width, 4),
                "outcome": OUTCOMES.get(outcome, outcome),
                "items": items,
                "bottom": bottom,
                "top": bottom + items,
            }
        )
    first = min((low for low, _, _ in bins), default=0.0)
    x = {
        "field": "low",
        "type": "quantitative",
        "title": "Confidence",
        "scale": {"domain": [first, 1], "nice": False},
        "axis": {"format": ".2f", "tickCount": 8, "grid": False},
    }
    layers: list[dict[str, Any]] = [
        {
            "data": {"values": values},
            "mark": {"type": "rect", "stroke": "$card", "strokeWidth": 1},
            "encoding": {
                "x": x,
                "x2": {"field": "high"},
                "y": {"field": "bottom", "type": "quantitative", "title": "Items"},
                "y2": {"field": "top"},
                "tooltip": [
                    {"field": "low", "type": "quantitative", "title": "Confidence from", "format": ".2f"},
                    {"field": "outcome", "type": "nominal", "title": "Outcome"},
                    {"field": "items", "type": "quantitative", "title": "Items", "format": ","},
                ],
                "color": _colours(
                    "outcome",
                    {"accepted": "$good", "sent to people": "$accent", "not decided yet": "$muted"},
                    {str(one["outcome"]) for one in values},
                )
                | {"legend": {"offset": 18}},
            },
        }
    ]
    if threshold is not None:
        layers += _threshold(threshold)
    return {
        **_WIDE,
        "height": _HEIGHT,
        "layer": layers,
        "usermeta": {
            "columns": {"low": "Confidence from", "high": "to", "outcome": "Outcome", "items": "Items"}
        },
    }


def _threshold(threshold: float) -> list[dict[str, Any]]:
    data = {"values": [{"at": threshold, "words": f"accept from {threshold:g}"}]}
    x = {"field": "at", "type": "quantitative"}
    return [
        {
            "data": data,
            "mark": {"type": "rule", "strokeDash": [4, 3], "strokeWidth": 1.5, "color": "$text"},
            "encoding": {"x": x},
        },
        {
            "data": data,
            "mark": {"type": "text", "baseline": "bottom", "color": "$text"},
            "encoding": {"x": x, "y": {"value": -3}, "text": {"field": "words"}},
        },
    ]


def cost_against_baseline(
    costs: Sequence[CostOfKind], baseline: Decimal, assumption: str, currency: str
) -> dict[str, Any]:
    """What was spent, by kind, beside what people alone would have cost."""
    spent, all_human = "Spent", "People alone"
    values = [
        {"bar": spent, "kind": kind_words(one.kind), "amount": float(one.amount), "order": order}
        for order, one in enumerate(costs)
    ]
    values.append({"bar": all_human, "kind": "baseline", "amount": float(baseline), "order": len(costs)})
    colours = {kind_words(one.kind): colour for one, colour in zip(costs, _KIND_COLOURS * 3, strict=False)}
    return {
        **_WIDE,
        "height": 200,
        "data": {"values": values},
        "usermeta": {
            "columns": {"bar": "Which", "kind": "Kind", "amount": f"Amount, {currency}"},
            "note": assumption,
        },
        "mark": {"type": "bar", "height": {"band": 0.6}},
        "encoding": {
            "y": {
                "field": "bar",
                "type": "nominal",
                "title": None,
                "sort": [spent, all_human],
                "axis": {"labelLimit": 120},
            },
            "x": {
                "field": "amount",
                "type": "quantitative",
                "title": currency,
                "axis": {"grid": True, "tickCount": 5},
            },
            "color": _colours("kind", {**colours, "baseline": "$muted"}),
            "order": {"field": "order"},
        },
    }


_KIND_COLOURS = ["$accent", "$good", "$warn"]


def throughput_by_person(people: Sequence[PersonFigures]) -> dict[str, Any]:
    """Annotations of each person: counted, above overlap, and those that do not count."""
    values = []
    for one in people:
        counted = one.annotations - one.above_overlap
        for what, number in (("counted", counted), ("above overlap", one.above_overlap)):
            values.append({"person": one.name, "what": what, "annotations": number})
    return {
        **_WIDE,
        "height": max(200, 30 * len(people) + 70),
        "data": {"values": values},
        "usermeta": {"columns": {"person": "Person", "what": "What", "annotations": "Annotations"}},
        "mark": {"type": "bar", "height": {"band": 0.62}},
        "encoding": {
            "y": {
                "field": "person",
                "type": "nominal",
                "title": None,
                "sort": [one.name for one in people],
                "axis": {"labelLimit": 130},
            },
            "x": {
                "field": "annotations",
                "type": "quantitative",
                "title": "Annotations",
                "axis": {"grid": True, "tickCount": 5, "tickMinStep": 1},
            },
            "color": _colours("what", {"counted": "$accent", "above overlap": "$warn"}),
            "order": {"field": "what", "sort": "descending"},
        },
    }


def confusion_heat_map(confusion: Confusion) -> dict[str, Any]:
    """People's answers against predictions, each cell with its number; rows add up to 100%."""
    values = []
    for predicted, row in zip(confusion.labels, confusion.counts, strict=True):
        total = sum(row)
        for given, answers in zip(confusion.labels, row, strict=True):
            share = answers / total if total else 0.0
            values.append(
                {
                    "predicted": predicted,
                    "given": given,
                    "answers": answers,
                    "share": round(share, 4),
                    "words": f"{answers:,} · {share:.0%}" if answers else "0",
                }
            )
    order = list(confusion.labels)
    shared = {
        "x": {
            "field": "given",
            "type": "nominal",
            "title": "People said",
            "sort": order,
            "axis": {"orient": "top", "labelAngle": 0, "labelLimit": 110},
        },
        "y": {
            "field": "predicted",
            "type": "nominal",
            "title": "Model said",
            "sort": order,
            "axis": {"labelLimit": 110},
        },
    }
    return {
        **_WIDE,
        "height": max(150, min(44 * len(order), 420)) + 46,
        "data": {"values": values},
        "usermeta": {
            "columns": {
                "predicted": "Model said",
                "given": "People said",
                "answers": "Answers",
                "share": "Share of row",
            }
        },
        "layer": [
            {
                "mark": {"type": "rect", "cornerRadius": 3},
                "encoding": {
                    **shared,
                    "color": {
                        "field": "share",
                        "type": "quantitative",
                        "legend": None,
                        "scale": {"domain": [0, 1.7], "range": ["$card", "$accent"], "interpolate": "rgb"},
                    },
                },
            },
            {"mark": {"type": "text"}, "encoding": {**shared, "text": {"field": "words"}}},
        ],
    }


def _colours(field: str, colours: dict[str, str], shown: set[str] | None = None) -> dict[str, Any]:
    used = {name: colour for name, colour in colours.items() if shown is None or name in shown}
    return {
        "field": field,
        "type": "nominal",
        "title": None,
        "scale": {"domain": list(used), "range": list(used.values())},
    }
