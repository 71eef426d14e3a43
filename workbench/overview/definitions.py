"""What each figure means: one catalogue for tooltips, the API and exports."""

from __future__ import annotations

from dataclasses import dataclass

_PROJECT = "since the project began"


@dataclass(frozen=True)
class Definition:
    """One figure in the reader's words.

    Attributes:
        title: How pages call it.
        unit: What it counts or is measured in.
        meaning: One sentence.
        period: Which time it covers.
    """

    title: str
    unit: str
    meaning: str
    period: str = _PROJECT


DEFINITIONS: dict[str, Definition] = {
    "items": Definition(
        "Items",
        "items",
        "Items that were imported into the project.",
    ),
    "predicted": Definition(
        "Predicted",
        "items",
        "Items for which any model version gave a label.",
    ),
    "accepted": Definition(
        "Accepted",
        "items",
        "Items whose final label is the machine's, because no person's answer replaced it.",
    ),
    "sent_to_people": Definition(
        "Sent to people",
        "items",
        "Items that were put into people's queue at least once, whatever the reason.",
    ),
    "audited": Definition(
        "Audited",
        "items",
        "Accepted items drawn at random that a person labels without seeing the prediction.",
    ),
    "annotations_received": Definition(
        "Annotations",
        "annotations",
        "Answers of people that can be used; skipped, deleted and refused answers are left out.",
    ),
    "above_overlap": Definition(
        "Above overlap",
        "annotations",
        "Answers beyond the number asked for, given when two people had an item open at once: "
        "paid and used for agreement, not counted as overlap.",
    ),
    "annotators": Definition(
        "Annotators",
        "people",
        "Different people who gave at least one annotation.",
    ),
    "resolved": Definition(
        "Resolved",
        "items",
        "Items with a final label, by the machine or by people; an item that went back to people "
        "is none until they have answered again.",
    ),
    "agreement_alpha": Definition(
        "Agreement (\N{GREEK SMALL LETTER ALPHA})",
        "coefficient, at most 1",
        "Krippendorff's alpha for unordered labels over items that at least two people answered "
        "without seeing a prediction: 1 is perfect, 0 is chance; the interval is a 95% bootstrap "
        "over items. Shown from 30 items on.",
    ),
    "agreement_ac1": Definition(
        "Agreement (AC1)",
        "coefficient, at most 1",
        "Gwet's AC1 over the same items: less moved than alpha when one label is far more frequent "
        "than the others.",
    ),
    "agreement_n": Definition(
        "Items behind agreement",
        "items",
        "Items with at least two answers given without seeing a prediction.",
    ),
    "model_human_agreement": Definition(
        "Model agrees with people",
        "share of answers",
        "Share of people's answers, given without seeing the prediction, that equal it. People "
        "mostly see the items the model is unsure of, so this is not the model's accuracy on all "
        "items.",
    ),
    "cost_total": Definition(
        "Cost",
        "project currency",
        "Sum of the ledger: every paid answer, audits included, and machine time.",
    ),
    "cost_per_label": Definition(
        "Cost per label",
        "project currency per item",
        "Total cost divided by resolved items.",
    ),
    "saved_share": Definition(
        "Saved share",
        "share of resolved items",
        "Resolved items that were never sent to a person; an audited item counts as touched, so "
        "it is not saved.",
    ),
    "cost_baseline": Definition(
        "Baseline",
        "project currency",
        "What the same resolved items would have cost if people had labeled each of them at the "
        "project's baseline price and overlap. It is an assumption set in the project.",
    ),
    "money_saved": Definition(
        "Saved",
        "project currency",
        "Baseline less total cost; negative where the project costs more so far.",
    ),
    "error_vs_reference": Definition(
        "Differs from reference",
        "share of resolved items",
        "Share of final labels that differ from the reference label, among items that have one "
        "and were decided with a model; items labeled before there was a model may have trained "
        "it and are left out.",
    ),
    "items_per_hour": Definition(
        "Throughput",
        "items per hour",
        "Resolved items divided by the hours between the first and the last resolution.",
        "from the first to the last resolution",
    ),
    "lead_time": Definition(
        "Lead time",
        "seconds",
        "Time from opening an item to sending the answer, as Label Studio measures it, cut at the"
        " project's limit.",
    ),
    "per_hour": Definition(
        "Answers per hour",
        "annotations per hour",
        "Annotations divided by hours of capped lead time.",
    ),
    "queue_age": Definition(
        "Queue age",
        "hours",
        "How long items that people have yet to finish stand in their present state.",
        "now",
    ),
}

MONEY = frozenset({"cost_total", "cost_per_label", "cost_baseline", "money_saved"})
"""Figures for those alone who may see costs."""


def definition_text(name: str) -> str:
    """The sentence for a tooltip: meaning, unit, period."""
    one = DEFINITIONS[name]
    return f"{one.meaning} Unit: {one.unit}. Period: {one.period}."
