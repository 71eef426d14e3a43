"""The project document: what a project may say about itself, checked part by part.

Unknown keys are refused everywhere. Some parts are read by later releases only: they are checked and kept
(`projects.kept` names them), so that one document serves from the first day.
"""

from __future__ import annotations

import re
import zoneinfo
from datetime import date
from decimal import Decimal
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    WithJsonSchema,
    field_validator,
)
from pydantic_core import PydanticCustomError

RESERVED = {"new", "templates"}
KEY = r"^[a-z0-9]+(-[a-z0-9]+)*$"
_DURATION = r"^P(\d+D|(\d+D)?T(\d+H(\d+M)?(\d+S)?|\d+M(\d+S)?|\d+S))$"


def _amount_text(amount: Decimal) -> str:
    return format(amount.normalize() + 0, "f")


def _title(raw: Any) -> Any:
    return {"": raw} if isinstance(raw, str) else raw


def _hotkey(raw: Any) -> Any:
    # A bare digit is a number in YAML; nobody can mean anything else by `hotkey: 1`.
    return str(raw) if isinstance(raw, int) and not isinstance(raw, bool) and 0 <= raw <= 9 else raw  # noqa: PLR2004


def _condition(raw: Any) -> Any:
    if isinstance(raw, bool):
        return "true" if raw else "false"
    if not isinstance(raw, str | dict):
        raise PydanticCustomError("condition", "must be a condition in quotes, such as \"label == 'spam'\"")
    return raw


def _time_zone(raw: Any) -> Any:
    if isinstance(raw, str) and raw not in zoneinfo.available_timezones():
        raise PydanticCustomError(
            "time_zone",
            "there is no time zone `{given}`; write one such as Europe/Berlin or UTC",
            {"given": raw},
        )
    return raw


def _secret_reference(raw: Any) -> Any:
    if not isinstance(raw, str) or not re.fullmatch(r"\$\{env:[A-Z][A-Z0-9_]*\}", raw):
        raise PydanticCustomError(
            "secret_reference", "an address with a secret comes from the environment: write ${env:NAME}"
        )
    return raw


Amount = Annotated[
    Decimal,
    Field(ge=0, max_digits=14, decimal_places=6),
    PlainSerializer(_amount_text, str, when_used="json"),
]
Share = Annotated[float, Field(ge=0, le=1)]
Key = Annotated[str, Field(pattern=KEY, max_length=50)]
Currency = Annotated[str, Field(pattern=r"^[A-Z]{3}$")]
Duration = Annotated[str, Field(pattern=_DURATION)]
TimeZone = Annotated[str, BeforeValidator(_time_zone)]
Secret = Annotated[str, BeforeValidator(_secret_reference)]
Hotkey = Annotated[str, BeforeValidator(_hotkey), Field(max_length=10)]
Titles = Annotated[
    dict[str, str],
    BeforeValidator(_title),
    WithJsonSchema(
        {"anyOf": [{"type": "string"}, {"type": "object", "additionalProperties": {"type": "string"}}]}
    ),
]
When = Annotated[
    Any,
    BeforeValidator(_condition),
    WithJsonSchema({"anyOf": [{"type": "string"}, {"type": "object"}, {"type": "boolean"}]}),
]
ClockTime = Annotated[str, Field(pattern=r"^([01]\d|2[0-3]):[0-5]\d$")]
Day = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]


class Part(BaseModel):
    """A part of the document; a key it does not know is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


class Label(Part):
    """One label that people and models may give."""

    value: Annotated[str, Field(min_length=1, max_length=200, description="What is stored and exported.")]
    title: Annotated[Titles, Field(description="What people read: a text, or one by language.")] = {}
    hotkey: Annotated[Hotkey, Field(description='Key that chooses it, in quotes: "1".')] = ""
    severity: Literal["", "low", "medium", "high", "critical"] = ""
    miss_cost: Annotated[
        Amount, Field(description="What it costs to miss one, in the budget's currency.")
    ] = Decimal(0)
    sensitive: Annotated[bool, Field(description="Items with this label are blurred until opened.")] = False


class Guideline(Part):
    """What annotators are told."""

    version: Annotated[str, Field(min_length=1, max_length=40)]
    uri: str = ""
    text: str = ""
    effective: date | None = None
    quiz: str = ""
    languages: list[str] = []


class Lot(Part):
    """A part of the items that is due earlier."""

    name: str
    due: date
    items: Annotated[int, Field(ge=1)]


class Sla(Part):
    """What was agreed with whoever ordered the labels."""

    due: date | None = None
    timezone: TimeZone | None = None
    items: Annotated[int, Field(ge=1)] | None = None
    accuracy: Share | None = None
    accuracy_confidence: Share | None = None
    agreement: Annotated[float, Field(ge=-1, le=1)] | None = None
    turnaround_p95: Duration | None = None
    lots: list[Lot] = []


class Budget(Part):
    """Money: currency, cap, and what a label costs where people do everything."""

    currency: Currency = "USD"
    cap: Amount | None = None
    warn_at: Share | None = None
    all_human_baseline_per_label: Amount = Decimal(0)
    baseline_overlap: Annotated[int, Field(ge=1, le=50)] = 1


class Rate(Part):
    """A price for one skill, from a day on."""

    skill: Key
    unit: Literal["item", "hour"] = "item"
    price: Amount
    starts: Annotated[date | None, Field(alias="from")] = None


class Shift(Part):
    """Who works when (kept for planning)."""

    name: str
    days: list[Day]
    start: ClockTime
    end: ClockTime
    heads: dict[str, Annotated[int, Field(ge=0)]]
    breaks_minutes: Annotated[int, Field(ge=0)] = 0


class Exposure(Part):
    """How much sensitive content one person sees at most (kept for planning)."""

    max_minutes_per_day: Annotated[int, Field(ge=0)]
    max_continuous_minutes: Annotated[int, Field(ge=0)]
    break_minutes: Annotated[int, Field(ge=0)] = 0
    opt_in: bool = False


class SupplierSla(Part):
    """What a supplier promised (kept for score cards)."""

    accuracy: Share | None = None
    on_time: Share | None = None
    first_pass_yield: Share | None = None


class Credit(Part):
    """Money back where a supplier misses a promise (kept for invoices)."""

    metric: str
    below: float
    percent_of_invoice: Annotated[float, Field(ge=0, le=100)]


class Supplier(Part):
    """A team that provides annotators; each skill it has a rate for is a pool."""

    id: Key
    name: str = ""
    timezone: TimeZone | None = None
    holidays: str = ""
    shrinkage: Share | None = None
    ramp_days: Annotated[int, Field(ge=0)] | None = None
    rates: Annotated[list[Rate], Field(min_length=1)]
    shifts: list[Shift] = []
    exposure: Exposure | None = None
    sla: SupplierSla | None = None
    credit: list[Credit] = []


class Pool(Part):
    """A group of annotators, the short way: without supplier, at one price."""

    id: Key
    name: str = ""
    language: Annotated[str, Field(max_length=20)] = ""
    price: Amount | None = None
    unit: Literal["item", "hour"] = "item"


class Promise(Part):
    """The statistical promise (kept; not yet evaluated)."""

    kind: str
    epsilon: Annotated[float, Field(gt=0, lt=1)]
    alpha: Annotated[float, Field(gt=0, lt=1)] = 0.05
    scope: str = "accepted"


class Route(Part):
    """One routing rule; the first whose condition holds decides."""

    name: Annotated[str, Field(max_length=100)] = ""
    when: When
    to: Annotated[str | None, Field(description="A pool; for items that people label.")] = None
    accept: Annotated[bool, Field(description="The machine's label stands.")] = False
    stage: Literal["label", "review", "adjudicate"] | None = None
    overlap: Annotated[int, Field(ge=1, le=50)] | None = None
    show_suggestion: bool | None = None
    priority: Annotated[int, Field(ge=0, le=100)] | None = None


class Routing(Part):
    """Which items the machine settles and which people label."""

    model: Annotated[str, Field(pattern=r"^$|^[A-Za-z0-9][\w.-]*(@\d+)?$")] = ""
    policy: Promise | None = None
    accept_at: Annotated[Share | None, Field(description="Accept at this confidence or above.")] = None
    thresholds: Annotated[dict[str, Share], Field(description="The same by label.")] = {}
    never_accept: Annotated[list[str], Field(description="Labels that always go to people.")] = []
    routes: list[Route] = []
    overlap: Annotated[int, Field(ge=1, le=50, description="Answers wanted where a route says nothing.")] = 1
    overlap_limit: Annotated[int, Field(ge=1, le=50, description="Kept; a tie goes to adjudication.")] = 5
    show_suggestion: bool = True
    audit_rate: Share = 0.0
    audit_overlap: Annotated[int, Field(ge=1, le=50)] | None = None
    blind_rate: Share = 0.0
    blind_overlap: Annotated[int, Field(ge=1, le=50)] | None = None
    max_wip_per_annotator: Annotated[int, Field(ge=1)] | None = None
    change_needs_approval_by: list[str] = []


class Qa(Part):
    """Quality control; `adjudicator` is used now, the rest is kept."""

    gold_rate: Share | None = None
    overlap_rate: Share | None = None
    overlap: Annotated[int, Field(ge=1, le=50)] | None = None
    review_rate: Share | None = None
    adjudicator: str | None = None
    new_annotator_review_rate: Share | None = None
    promote_after: Annotated[int, Field(ge=0)] | None = None
    agreement_metric: Literal["krippendorff_alpha", "ac1"] | None = None


class Step(Part):
    """One step of an alert's ladder."""

    after: Duration
    notify: list[str]
    owner: str = ""


class Alert(Part):
    """A figure that is watched (kept)."""

    id: Key
    metric: str
    test: Literal["below", "above", "ewma"]
    by: list[str] = []
    value: float | None = None
    min_n: Annotated[int, Field(ge=1)] | None = None
    min_effect: Annotated[float, Field(ge=0)] | None = None
    severity: Literal["low", "medium", "high", "critical"] = "medium"
    ladder: list[Step] = []


class Report(Part):
    """A report sent by the clock (kept)."""

    id: Key
    template: str
    cron: str
    formats: list[Literal["html", "xlsx", "pdf", "pptx"]]
    to: list[str] = []


class ProjectSpecification(Part):
    """A project as a document."""

    api_version: Annotated[Literal["workbench/v1"], Field(alias="apiVersion")] = "workbench/v1"
    kind: Literal["Project"] = "Project"
    id: Annotated[Key, Field(description="Name in addresses: lower-case letters, digits and single hyphens.")]
    title: Annotated[str, Field(min_length=1, max_length=200)]
    modality: Literal["text"] = "text"
    labels: list[Label] = []
    label_config: Annotated[
        str, Field(description="Label Studio XML, or the path of a file beside this one.")
    ] = ""
    question: Annotated[str, Field(max_length=500, description="Stands above each item.")] = ""
    instruction: Annotated[str, Field(description="Shown before somebody begins.")] = ""
    note: Annotated[str, Field(description="One remark that stands on the project's page.")] = ""
    text_field: Annotated[str, Field(pattern=r"^[A-Za-z]\w*$", max_length=100)] = "text"
    language: Annotated[str, Field(max_length=20)] = ""
    time_zone: TimeZone | None = None
    server: Annotated[str, Field(description="Name of a connected Label Studio server.")] = ""
    lead_time_cap_s: Annotated[
        int, Field(ge=1, le=86400, description="Longest time paid for one answer.")
    ] = 300
    retention_days: Annotated[
        int | None, Field(ge=1, le=36500, description="Texts are erased so long after delivery; empty: kept.")
    ] = None
    lane_limit: Annotated[int, Field(ge=1, le=5000, description="Tasks waiting in one lane.")] = 100
    without_model: Annotated[
        Literal["people", "wait"], Field(description="Items while no model is live.")
    ] = "people"
    guideline: Guideline | None = None
    sla: Sla | None = None
    budget: Budget = Budget()
    suppliers: list[Supplier] = []
    pools: list[Pool] = []
    routing: Routing = Routing()
    qa: Qa = Qa()
    channels: dict[str, Secret] = {}
    alerts: list[Alert] = []
    reports: list[Report] = []

    @field_validator("id")
    @classmethod
    def _not_reserved(cls, key: str) -> str:
        if key in RESERVED:
            raise PydanticCustomError(
                "reserved", "`{key}` is an address of its own; choose another id", {"key": key}
            )
        return key

    @property
    def zone(self) -> str:
        """The project's time zone."""
        return self.time_zone or (self.sla.timezone if self.sla else None) or "UTC"

    def document(self) -> dict[str, Any]:
        """The document as JSON values, defaults left out: equal documents are equal projects."""
        return self.model_dump(mode="json", by_alias=True, exclude_defaults=True)


def json_schema() -> dict[str, Any]:
    """The JSON Schema of the project document."""
    schema = ProjectSpecification.model_json_schema(by_alias=True)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema, "title": "Workbench project"}
