"""The parts of a feature spec that some ids' events alone decide, so that many machines can share the work.

    part             whose events                  what it takes of others             what it gives
    expectations     of one item, category …       (nothing)                           a weight per event (B1)
    entity           of one buyer, address …       weights, which orders are first     the entity's columns
    group            of linked buyers              which keys are hubs                 the columns of groups (G4)

An engine of a part keeps the windows of all others (T7 asks for the longest), and computes its own columns alone. What
it is given must hold every event of its ids that `Part.needs` selects, with its order, none of them from before its
order; later events of one order keep their order.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ordervet.features.events import JUDGEMENT_BIT
from ordervet.features.plan import EntityPlan, build_plans, list_weight_columns, plan_expectations
from ordervet.features.spec import GROUP_KEYS, JUDGED, PRIOR_PPM, RUN_VERDICTS, SELECTOR_BIT, SIZED

if TYPE_CHECKING:
    from ordervet.features.spec import FeatureSpec

#: The part of linked buyers, among the names of entities.
GROUP = "group"

_REFUNDS = SELECTOR_BIT["refund_requested"] | SELECTOR_BIT["refund_completed"]


@dataclass(frozen=True, slots=True)
class Part:
    """One part of a spec.

    Parameters
    ----------
    name : of the entity whose events it needs, or `GROUP`
    columns : of the whole matrix, those that it computes, ascending
    plans : of all entities; only that of the part's own entity has cells
    values : the other entities whose ids it looks at
    needs : selector bits of the later events that it needs
    takes_weights : whether it takes what baselines lead one to expect
    takes_first : whether it counts first orders, which those of one buyer decide
    """

    name: str
    columns: tuple[int, ...]
    plans: tuple[EntityPlan, ...]
    values: tuple[str, ...]
    needs: int
    takes_weights: bool = False
    takes_first: bool = False


def list_parts(spec: FeatureSpec) -> tuple[Part, ...]:
    """List the parts whose columns, with those of the order itself, are all that a spec has."""
    plans = build_plans(spec)
    parts = [_build_entity_part(plan, plans) for plan in plans if plan.operations]
    if spec.group_columns:
        columns = tuple(column for column, _ in spec.group_columns)
        silent = tuple(_silence(each) for each in plans)
        needs = JUDGEMENT_BIT | SELECTOR_BIT["refund_requested"]
        parts.append(Part(GROUP, columns, silent, ("buyer", *GROUP_KEYS), needs))
    return tuple(parts)


def list_expectations(spec: FeatureSpec) -> tuple[Part, ...]:
    """List the parts that give weights: one for each baseline."""
    plans = build_plans(spec)
    baselines = sorted({baseline for selector, baseline in list_weight_columns(spec) if selector in PRIOR_PPM})
    return tuple(_build_part(plan_expectations(spec, each), plans) for each in baselines)


def needs_first_orders(spec: FeatureSpec) -> bool:
    """Return whether a spec asks which orders are the first of their buyer."""
    return any(aggregation.column == "first_order" for _, aggregation in spec.aggregations)


def _build_entity_part(plan: EntityPlan, plans: tuple[EntityPlan, ...]) -> Part:
    columns = sorted(operation[1] for operation in plan.operations)
    place = {column: at for at, column in enumerate(columns)}
    operations = [(each[0], place[each[1]], *each[2:]) for each in plan.operations]
    return _build_part(plan._replace(operations=operations), plans, tuple(columns))


def _build_part(plan: EntityPlan, plans: tuple[EntityPlan, ...], columns: tuple[int, ...] = ()) -> Part:
    selectors = {*plan.clocks, *(cell.column for cell in plan.cells if cell.kind in ("count", "sum"))}
    selectors |= {*RUN_VERDICTS} if any(cell.kind == "run" for cell in plan.cells) else set()
    needs = sum(SELECTOR_BIT[each] for each in selectors)
    # NOTE: what a refund is measured at, and a verdict takes back, follows from all of them that its order has.
    needs |= _REFUNDS if selectors.intersection(SIZED) else 0
    needs |= JUDGEMENT_BIT if selectors.intersection(JUDGED) else 0
    others = tuple(_silence(each) for each in plans if each.entity != plan.entity)
    takes_weights = any(isinstance(cell.source, tuple) for cell in plan.cells)
    values = tuple(value for value in plan.values if value != plan.entity)
    return Part(plan.entity, columns, (plan, *others), values, needs, takes_weights, "first_order" in selectors)


def _silence(plan: EntityPlan) -> EntityPlan:
    """Return a plan that keeps nothing and has the same windows."""
    return EntityPlan(plan.entity, 0, (), plan.windows, (), (), [], [], [])
