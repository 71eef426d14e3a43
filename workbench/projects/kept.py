"""What a project document may say that nothing acts on yet."""

from __future__ import annotations

from workbench.projects.specification import ProjectSpecification


def kept_parts(specification: ProjectSpecification) -> list[str]:
    """Paths of what the document says and nothing acts on yet."""
    one = specification
    kept = {
        "sla": one.sla is not None
        and bool(one.sla.model_dump(exclude_defaults=True, exclude={"due", "timezone"})),
        "budget.cap": one.budget.cap is not None,
        "budget.warn_at": one.budget.warn_at is not None,
        "suppliers[].shifts": any(supplier.shifts for supplier in one.suppliers),
        "suppliers[].exposure": any(supplier.exposure for supplier in one.suppliers),
        "suppliers[].sla": any(supplier.sla for supplier in one.suppliers),
        "suppliers[].credit": any(supplier.credit for supplier in one.suppliers),
        "routing.policy": one.routing.policy is not None,
        "routing.overlap_limit": "overlap_limit" in one.routing.model_fields_set,
        "routing.max_wip_per_annotator": one.routing.max_wip_per_annotator is not None,
        "routing.change_needs_approval_by": bool(one.routing.change_needs_approval_by),
        "guideline.quiz": bool(one.guideline and one.guideline.quiz),
        "qa": bool(one.qa.model_dump(exclude_defaults=True, exclude={"adjudicator"})),
        **{part: bool(getattr(one, part)) for part in ("channels", "alerts", "reports")},
    }
    return [path for path, is_kept in kept.items() if is_kept]
