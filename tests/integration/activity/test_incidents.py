"""Incidents: one row for one trouble, healed with how, forgotten in time."""

from datetime import timedelta

import pytest

from tests.factories import NOW
from workbench.errors import NotFound, WrongState
from workbench.incidents.store import (
    acknowledge_incident,
    count_bad,
    forget_healed,
    heal_incident,
    healed_incidents,
    incidents_of_supplier,
    open_incident,
    open_incidents,
    report_incident,
)


def test_the_same_trouble_is_one_row_until_it_heals(outside):
    for i in range(3):
        with outside.db.write() as session:
            row = report_incident(
                session, "a", "b", f"time {i}", now=NOW + timedelta(seconds=i), severity="warn"
            )
    assert (row.count, row.sentence, row.opened_at) == (3, "time 2", NOW)
    with outside.db.write() as session:
        assert heal_incident(session, "a", "b", "went away", now=NOW + timedelta(minutes=1))
        again = report_incident(session, "a", "b", "back", now=NOW + timedelta(minutes=2))
        assert (again.count, again.id != row.id) == (1, True)
        assert [one.how for one in healed_incidents(session, since=NOW)] == ["went away"]


def test_what_became_worse_must_be_seen_again(outside):
    with outside.db.write() as session:
        row = report_incident(session, "a", "b", "mild", now=NOW, severity="warn")
        acknowledge_incident(session, row.id, by="ada", now=NOW)
        assert report_incident(session, "a", "b", "mild", now=NOW, severity="warn").acknowledged_by == "ada"
        worse = report_incident(session, "a", "b", "wild", now=NOW, severity="bad")
        assert worse.acknowledged_by is None
        assert count_bad(session) == 1
        assert count_bad(session, projects=[1]) == 0
        acknowledge_incident(session, row.id, by="ben", now=NOW)
        assert acknowledge_incident(session, row.id, by="ada", now=NOW).acknowledged_by == "ben"
        heal_incident(session, "a", "b", "x", now=NOW)
        with pytest.raises(WrongState):
            acknowledge_incident(session, row.id, by="ada", now=NOW)
        with pytest.raises(NotFound):
            acknowledge_incident(session, 999, by="ada", now=NOW)


def test_the_worst_come_first_and_suppliers_see_their_own(outside):
    with outside.db.write() as session:
        for i, severity in enumerate(["info", "bad", "warn"]):
            report_incident(
                session, severity, "x", "y", now=NOW + timedelta(seconds=i), severity=severity, supplier_id=i
            )
        assert [one.kind for one in open_incidents(session)] == ["bad", "warn", "info"]
        assert [one.kind for one in incidents_of_supplier(session, 2, since=NOW)] == ["warn"]
        heal_incident(session, "warn", "x", "done", now=NOW)
        assert [one.kind for one in incidents_of_supplier(session, 2, since=NOW)] == ["warn"]
        assert incidents_of_supplier(session, 2, since=NOW + timedelta(days=1)) == []


def test_healed_ones_are_forgotten_open_ones_never(outside):
    with outside.db.write() as session:
        report_incident(session, "old", "x", "y", now=NOW)
        report_incident(session, "open", "x" * 300, "y", now=NOW)
        heal_incident(session, "old", "x", "done", now=NOW)
        assert forget_healed(session, before=NOW) == 0
        assert forget_healed(session, before=NOW + timedelta(days=90)) == 1
        assert [one.kind for one in open_incidents(session)] == ["open"]
        assert open_incident(session, "open", "x" * 300) is not None
