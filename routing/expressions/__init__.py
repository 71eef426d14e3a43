"""The `when` of a rule: a small safe language, its JSON form, and its evaluation over columns."""

from routing.expressions.columns import Columns
from routing.expressions.document import from_document, to_document
from routing.expressions.evaluation import evaluate
from routing.expressions.explanation import explain, explain_not
from routing.expressions.text import parse, to_text
from routing.expressions.tree import (
    Always,
    And,
    Compare,
    Condition,
    Missing,
    Not,
    Op,
    Or,
    RandomShare,
    labels_named,
)

__all__ = [
    "Always",
    "And",
    "Columns",
    "Compare",
    "Condition",
    "Missing",
    "Not",
    "Op",
    "Or",
    "RandomShare",
    "evaluate",
    "explain",
    "explain_not",
    "from_document",
    "labels_named",
    "parse",
    "to_document",
    "to_text",
]
