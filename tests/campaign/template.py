"""An installation that is copied for each simulated life: its tables, project, people, prices and clock."""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from tests.campaign.unruly import Unruly
from tests.factories import LABELS, NOW, make_person, make_pool, make_project, make_rate_card, make_server
from tests.integration.line.world import StubPredictor, add_model
from workbench.db.tables import all_tables
from workbench.db.vault import Vault
from workbench.decisions.service import new_policy
from workbench.outside import Outside, outside_of
from workbench.people.tables import SupplierRow
from workbench.settings import load_settings

PEOPLE = 4
NORTHERNERS = 2
LANE_LIMIT = 6
NORTH = "http://127.0.0.1:9/north"
TOKEN = b"token-that-nobody-may-see"
POOLS = ("english", "deciders", "north")
IN_MEMORY = Path("/dev/shm")
POLICIES: tuple[dict[str, Any], ...] = (
    {"rules": [{"name": "everything", "when": "true"}]},
    {"rules": [{"name": "twice", "when": "true", "overlap": 2, "show_suggestion": False}]},
    {
        "rules": [{"name": "sure", "when": "confidence >= 0.8", "accept": True}],
        "audit_rate": 0.3,
        "blind_rate": 0.3,
        "audit_overlap": 2,
    },
)
TWO_SUPPLIERS: dict[str, Any] = {
    "rules": [
        {"name": "unsure", "when": "confidence < 0.6", "pool": "north"},
        {"name": "the rest", "when": "true"},
    ]
}


class Clock:
    """The virtual clock."""

    def __init__(self) -> None:
        self.at = NOW
        self.server_s = 0.0

    def __call__(self) -> datetime:
        return self.at

    def of_server(self) -> datetime:
        """What the server's own clock says."""
        return self.at + timedelta(seconds=self.server_s)

    def back(self, seconds: float) -> None:
        """Our clock is set back; the server's is not."""
        self.at -= timedelta(seconds=seconds)
        self.server_s += seconds


def sure_of(text: str) -> tuple[float, float, float]:
    """A stub's opinion: sure of every third text."""
    n = sum(map(ord, text)) % 3
    return ((0.9, 0.07, 0.03), (0.4, 0.35, 0.25), (0.2, 0.5, 0.3))[n]


def stub(spec: object) -> StubPredictor:
    """What takes the place of any model."""
    return StubPredictor(sure_of)


def nobody(url: str, token: str) -> Any:
    """No server yet."""


class Template:
    """An installation ready to be copied: tables, project, people, price, first policy.

    Two suppliers, each with a server of its own; the second one, `north`, gets work only by a policy that
    says so.

    Args:
        folder: Where it is made; must not be there.
        fresh: Address of an empty database with the schema, for PostgreSQL; None: SQLite.
    """

    def __init__(self, folder: Path, fresh: Callable[[], str] | None = None) -> None:
        self.folder = folder
        self._fresh = fresh
        rng = random.Random(0)
        outside = outside_of(
            load_settings(data_dir=folder),
            label_studio=nobody,
            now=Clock(),
            random_bytes=rng.randbytes,
        )
        self._vault = outside.vault
        if fresh is None:
            all_tables().create_all(outside.db.writer)
            self._people_it(outside)
        outside.db.close()
        self.place = folder.parent / "life"
        self.settings = load_settings(data_dir=self.place, chunk_items=50, allowed_hosts=["testserver"])
        # One engine for all lives: what it has learned of our statements is most of its speed.
        self.outside = outside_of(self.settings, label_studio=nobody)

    def _people_it(self, outside: Outside) -> None:
        with outside.db.write() as session:
            server = make_server(session, token=self._vault.lock(TOKEN))
            pool, deciders = make_pool(session), make_pool(session, "deciders")
            project = make_project(
                session,
                server_id=server.id,
                pool_id=pool.id,
                adjudication_pool_id=deciders.id,
                lane_limit=LANE_LIMIT,
            )
            for number in range(PEOPLE):
                make_person(session, server, pool, number + 1)
            make_person(session, server, deciders, PEOPLE + 1)
            make_rate_card(session, pool)
            make_rate_card(session, deciders, unit="hour", price="12.00")
            add_model(session, project.id)
            new_policy(session, project.id, POLICIES[0], labels=LABELS, pools=["english"], by="t", now=NOW)
            first = session.get_one(SupplierRow, pool.supplier_id)
            first.server_id, server.supplier_id = server.id, first.id
            north = make_server(session, name="north", url=NORTH, token=self._vault.lock(TOKEN))
            second = SupplierRow(key="north", name="North", time_zone="UTC", server_id=north.id)
            session.add(second)
            session.flush()
            north.supplier_id = second.id
            northern = make_pool(session, "north", supplier_id=second.id)
            make_rate_card(session, northern, price="0.11")
            for number in range(NORTHERNERS):
                make_person(session, north, northern, PEOPLE + 2 + number)
            self.project_id, self.server_id, self.north_id = project.id, server.id, north.id

    @contextmanager
    def copy(
        self, clock: Clock, rng: random.Random, server: Unruly, north: Unruly | None = None
    ) -> Iterator[Outside]:
        """A fresh installation of the same make, gone at the end."""
        self.outside.db.close()
        shutil.rmtree(self.place, ignore_errors=True)
        shutil.copytree(self.folder, self.place)
        made = self.outside
        if self._fresh is not None:
            settings = self.settings.model_copy(update={"database_url": self._fresh()})
            made = outside_of(settings, label_studio=nobody)
            self._people_it(made)
        try:
            yield replace(
                made,
                vault=Vault.open(self.settings),
                label_studio=lambda url, token: north if north is not None and url == NORTH else server,
                load_model=stub,
                now=clock,
                random_bytes=rng.randbytes,
            )
        finally:
            made.db.close()

    def close(self) -> None:
        """Give back all connections."""
        self.outside.db.close()
