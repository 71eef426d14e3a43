"""Routing policies: ordered rules as a versioned document, and the decisions they make over columns."""

from routing.expressions.columns import Columns
from routing.policy.decisions import Decisions, Outcome, Purpose, decide
from routing.policy.document import parse_policy, to_document
from routing.policy.reasons import public_reason, public_reasons, reason, reasons
from routing.policy.rules import Accept, RoutingPolicy, Rule, Stage, ToPeople

__all__ = [
    "Accept",
    "Columns",
    "Decisions",
    "Outcome",
    "Purpose",
    "RoutingPolicy",
    "Rule",
    "Stage",
    "ToPeople",
    "decide",
    "parse_policy",
    "public_reason",
    "public_reasons",
    "reason",
    "reasons",
    "to_document",
]
