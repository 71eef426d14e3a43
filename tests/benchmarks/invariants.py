"""Seconds that each invariant takes on a large installation (SQLite): python -m tests.benchmarks.invariants --json."""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from typing import Any

from sqlalchemy import insert, select, text

from tests.campaign.template import Template
from tests.factories import LABELS, NOW
from workbench.decisions.tables import DecisionRow, RoutingPolicyRow
from workbench.invariants.service import INVARIANTS
from workbench.items.tables import ImportRow, ItemCountRow, ItemMoveRow, ItemPartRow, ItemRow
from workbench.model_versions.tables import ModelVersionRow
from workbench.outside import Outside, outside_of
from workbench.prelabeling.tables import PredictionRow
from workbench.settings import load_settings
from workbench.tallies.tables import CostTallyRow, LedgerRow

CHUNK = 5000
STATES = ("", "imported", "predicted", "accepted", "resolved")
WITHOUT_SERVERS = [one for one in INVARIANTS if not one.asks_servers]


def fill(outside: Outside, project_id: int, n: int) -> None:
    """So many items that the machine has accepted, with their moves, predictions, decisions and costs."""
    with outside.db.write() as session:
        version = session.scalar(select(ModelVersionRow.id))
        policy = session.scalar(select(RoutingPolicyRow.id))
        source = ImportRow(
            project_id=project_id, job_id="b", file_name="b", path="", format="csv", mapping={}, state="done",
            rows_read=n, rows_added=n, rows_known=0, rows_conflicting=0, rows_rejected=0, rejects_path="",
            problem="", created_by="b", created_at=NOW,
        )  # fmt: skip
        session.add(source)
        session.flush()
        for start in range(1, n + 1, CHUNK):
            ids = range(start, min(start + CHUNK, n + 1))
            for table, rows in rows_of(ids, project_id, source.id, version, policy).items():
                session.execute(insert(table), rows)
        session.add(ItemCountRow(project_id=project_id, state="resolved", items=n))
        session.add(
            CostTallyRow(project_id=project_id, kind="machine", currency="USD", amount=Decimal(n), entries=n)
        )
        session.execute(text("ANALYZE"))


def rows_of(
    ids: range, project_id: int, import_id: int, version: Any, policy: Any
) -> dict[Any, list[dict[str, Any]]]:
    moves = [
        {
            "project_id": project_id, "item_id": i, "from_state": one, "to_state": to, "at": NOW, "actor": "b",
            "reason": "as it is", "because": {},
        }
        for i in ids
        for one, to in pairwise(STATES)
    ]  # fmt: skip
    return {
        ItemRow: [
            {
                "id": i, "public_id": f"{i:024x}", "project_id": project_id, "import_id": import_id,
                "external_id": str(i), "content_hash": i.to_bytes(32, "big"), "state": "resolved", "language": "en",
                "region": "", "sensitivity": "", "round": 1, "created_at": NOW, "state_at": NOW,
            }
            for i in ids
        ],
        ItemPartRow: [
            {"item_id": i, "position": 0, "kind": "text", "name": "text", "text": f"text {i}", "data": {}} for i in ids
        ],
        ItemMoveRow: moves,
        PredictionRow: [
            {
                "item_id": i, "model_version_id": version, "label": LABELS[0], "confidence": 0.9, "margin": 0.8,
                "entropy": 0.1, "distribution": [0.9, 0.05, 0.05], "failure": "", "cost": Decimal(1), "created_at": NOW,
            }
            for i in ids
        ],
        DecisionRow: [
            {
                "project_id": project_id, "item_id": i, "round": 1, "policy_id": policy, "model_version_id": version,
                "outcome": "people", "purpose": "ordinary", "rule": "everything", "reason": "", "public_reason": "",
                "stage": "label", "pool_id": None, "overlap": 1, "show_suggestion": True, "priority": 50,
                "decided_at": NOW,
            }
            for i in ids
        ],
        LedgerRow: [
            {
                "project_id": project_id, "item_id": i, "person_id": None, "source_kind": "prediction",
                "source_id": f"{version}:{i}", "rate_card_id": 0, "sequence": 0, "kind": "machine",
                "quantity": Decimal(1), "unit": "item", "amount": Decimal(1), "currency": "USD", "at": NOW, "note": "",
            }
            for i in ids
        ],
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--items", type=int, default=200_000)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        template = Template(Path(folder) / "template")
        template.close()
        settings = load_settings(data_dir=template.folder)
        outside = outside_of(settings, label_studio=lambda url, token: None, now=lambda: NOW)  # type: ignore[arg-type, return-value]
        from workbench.decisions.service import ensure_lottery_key

        with outside.db.write() as session:
            ensure_lottery_key(outside, session, template.project_id)
        fill(outside, template.project_id, options.items)
        seconds = {}
        for one in WITHOUT_SERVERS:
            began = time.perf_counter()
            with outside.db.read() as session:
                found = one.look(session, outside)
            seconds[one.key] = round(time.perf_counter() - began, 2)
            print(
                f"{one.key:>4} {seconds[one.key]:7.2f} s  {found.checked:>9,} checked, {len(found.violations)} found"
            )
        outside.db.close()
    if options.json:
        print(json.dumps({"benchmark": "invariants", "items": options.items, "seconds": seconds}))


if __name__ == "__main__":
    main()
