"""What a project document names and does not have: pools, labels, channels, skills."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import chain

from integrations.label_studio.errors import LabelConfigInvalid
from routing.errors import PolicyInvalid
from routing.policy import parse_policy
from workbench.projects.label_config import labels_of, screen_of
from workbench.projects.pools import pools_of
from workbench.projects.problems import Place, Problem, closest
from workbench.projects.routing_document import accept_rules, policy_document
from workbench.projects.specification import ProjectSpecification


def reference_problems(specification: ProjectSpecification) -> list[Problem]:
    """Everything that is named but not there, or there twice."""
    found = [
        *_labels(specification),
        *_time_zones(specification),
        *_people(specification),
        *_channels(specification),
        *_lots(specification),
    ]
    return found or [*_label_names(specification), *_routes(specification)]


def _labels(one: ProjectSpecification) -> Iterator[Problem]:
    yield from _doubled([label.value for label in one.labels], "labels", "value", "label")
    yield from _doubled(
        [label.hotkey for label in one.labels if label.hotkey], "labels", "hotkey", "key", one
    )
    fewest = 2
    if not one.label_config and len(one.labels) < fewest:
        yield Problem(("labels",), "give at least two labels, each with a `value`, or a `label_config`")
    elif one.labels and not any(label.value.strip() for label in one.labels):
        yield Problem(("labels",), "labels must not be empty")
    if one.label_config and not one.label_config.strip().startswith("<"):
        return  # a file's name: read and checked with the file
    if one.label_config or len(one.labels) >= fewest:
        try:
            screen_of(one)
        except LabelConfigInvalid as problem:
            yield Problem(("label_config",) if one.label_config else ("labels",), str(problem))


def _doubled(
    values: Sequence[str], part: str, key: str, what: str, one: ProjectSpecification | None = None
) -> Iterator[Problem]:
    seen: set[str] = set()
    for i, value in enumerate(values):
        if value in seen:
            place: Place = (part, i, key) if one is None else (part,)
            yield Problem(place, f"the {what} `{value}` stands here twice; each must be different")
        seen.add(value)


def _time_zones(one: ProjectSpecification) -> Iterator[Problem]:
    sla_zone = one.sla.timezone if one.sla else None
    if one.time_zone and sla_zone and one.time_zone != sla_zone:
        yield Problem(("time_zone",), f"is {one.time_zone}, and sla.timezone is {sla_zone}; give one of them")


def _people(one: ProjectSpecification) -> Iterator[Problem]:
    yield from _doubled([supplier.id for supplier in one.suppliers], "suppliers", "id", "supplier")
    keys = [pool.key for pool in pools_of(one)]
    for key in sorted({key for key in keys if keys.count(key) > 1}):
        yield Problem(("pools",), f"there are two pools `{key}`; give one another name")
    for i, supplier in enumerate(one.suppliers):
        skills = list(dict.fromkeys(rate.skill for rate in supplier.rates))
        for j, shift in enumerate(supplier.shifts):
            for skill in shift.heads:
                if skill not in skills:
                    yield _absent(
                        ("suppliers", i, "shifts", j, "heads", skill), "rate for the skill", skill, skills
                    )
    if one.qa.adjudicator and one.qa.adjudicator not in keys:
        yield _absent(("qa", "adjudicator"), "pool", one.qa.adjudicator, keys)


def _channels(one: ProjectSpecification) -> Iterator[Problem]:
    known = list(one.channels)
    ladders = (
        (("alerts", i, "ladder", j, "notify", k), channel)
        for i, alert in enumerate(one.alerts)
        for j, step in enumerate(alert.ladder)
        for k, channel in enumerate(step.notify)
    )
    reports = (
        (("reports", i, "to", k), channel)
        for i, report in enumerate(one.reports)
        for k, channel in enumerate(report.to)
    )
    place: Place
    for place, channel in chain(ladders, reports):
        if channel not in known:
            yield _absent(place, "channel", channel, known)


def _lots(one: ProjectSpecification) -> Iterator[Problem]:
    if one.sla is None or not one.sla.lots:
        return
    total = sum(lot.items for lot in one.sla.lots)
    if one.sla.items is not None and total != one.sla.items:
        yield Problem(
            ("sla", "lots"), f"the lots hold {total} items together, and sla.items is {one.sla.items}"
        )
    for i, lot in enumerate(one.sla.lots):
        if one.sla.due is not None and lot.due > one.sla.due:
            yield Problem(("sla", "lots", i, "due"), f"{lot.due} is after sla.due, {one.sla.due}")


def _label_names(one: ProjectSpecification) -> Iterator[Problem]:
    if one.label_config and not one.label_config.strip().startswith("<"):
        return
    labels = [label.value for label in labels_of(one)]
    for label in one.routing.thresholds:
        if label not in labels:
            yield _absent(("routing", "thresholds", label), "label", label, labels)
    for i, label in enumerate(one.routing.never_accept):
        if label not in labels:
            yield _absent(("routing", "never_accept", i), "label", label, labels)


def _routes(one: ProjectSpecification) -> Iterator[Problem]:
    """What `routing` itself refuses, with its place in this document."""
    pools = [pool.key for pool in pools_of(one)]
    for i, route in enumerate(one.routing.routes):
        if route.to is not None and route.to not in pools:
            yield _absent(("routing", "routes", i, "to"), "pool or skill", route.to, pools)
            return
    if one.label_config and not one.label_config.strip().startswith("<"):
        return
    try:
        parse_policy(policy_document(one), labels=[label.value for label in labels_of(one)], pools=pools)
    except PolicyInvalid as problem:
        message = (
            problem.message
            if problem.position is None
            else f"character {problem.position}: {problem.message}"
        )
        yield Problem(_place_in_routes(problem.path, len(accept_rules(one))), message, problem.did_you_mean)


def _place_in_routes(path: str, before: int) -> Place:
    found = re.fullmatch(r"rules\[(\d+)\](?:\.(\w+))?.*", path)
    if found is None:
        return ("routing", *path.split("."))
    key = {"pool": "to", None: None}.get(found[2], found[2])
    place: Place = ("routing", "routes", int(found[1]) - before)
    return place if key is None else (*place, key)


def _absent(place: Place, what: str, name: str, known: Sequence[str]) -> Problem:
    near = closest(name, known)
    listed = "" if near or not known else f"; there are {', '.join(known)}"
    return Problem(place, f"there is no {what} `{name}`{listed}", near)
