"""What of a step's result lies outside tolerance: inside the step's owner decides, outside the executive step's approver does.

Each function reads a cycle and says in sentences what lies outside the tolerances of the settings; no sentence means that nothing does.
Which function judges which step stands in `chain.STEPS`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sop_workbench import decision, execution, follow_up, governance, tables

if TYPE_CHECKING:
    from sop_workbench.store import Cycle


def demand_changes(cycle: Cycle) -> list[str]:
    """Families whose demand moved since the plan locked last by more than `demand_change_ratio`, over the periods both plan."""
    earlier = [name for name in cycle.store.locked_cycles() if name < cycle.id]
    if not earlier or not cycle.has("consensus_demand"):
        return []
    last = cycle.store.cycle(max(earlier))
    before = last.read_or_empty("consensus_demand")
    return governance.demand_changes(cycle.read("consensus_demand"), before, cycle.read("item"), cycle.settings, last.id)


def supply_limits(cycle: Cycle) -> list[str]:
    """Resources loaded above `utilisation_ratio` and markets served below `service_level_ratio` in the plan."""
    read = {name: cycle.read_or_empty(name) for name in ("resource_plan", "unmet_demand")}
    return execution.alerts(tables.table("plan_deviation").empty(), read, cycle.settings, cycle.calendar)["sentence"].tolist()


def budget_gaps(cycle: Cycle) -> list[str]:
    """The whole plan and its families, where they stand further below budget than `budget_gap_ratio`."""
    return governance.budget_gaps(cycle.read_or_empty("budget_gap"), cycle.settings)


def pre_sop(cycle: Cycle) -> list[str]:
    """What the pre-S&OP leaves to the executive meeting: the plan's gaps and the decisions beyond its tolerances.

    The whole plan below budget by more than `budget_gap_ratio` (unless its decision says so anyway), demand left unserved beyond
    `unserved_demand_ratio`, decisions worth more than `decision_ratio` of the plan's revenue. Nothing while the step has not compared
    its scenarios.
    """
    if not cycle.has("scenario_comparison"):
        return []
    names = ("budget_gap", "binding_limit", "unmet_demand", "excess_stock", "scenario_comparison", "alert")
    read = {name: cycle.read_or_empty(name) for name in names}
    opened = decision.open_decisions(
        read["budget_gap"], read["binding_limit"], read["unmet_demand"], read["excess_stock"], read["scenario_comparison"], read["alert"],
        cycle.settings, cycle.read_or_empty("item"), follow_up.requests_to_decide(cycle))
    decided = governance.weighty_decisions(opened, read["unmet_demand"], cycle.settings)
    is_said = any(sentence.startswith(decision.WHOLE_PLAN) for sentence in decided)
    gap = [] if is_said else governance.whole_budget_gap(read["budget_gap"], cycle.settings)
    return [*gap, *governance.unserved_demand(read["unmet_demand"], cycle.settings), *decided]


def actual_deviations(cycle: Cycle) -> list[str]:
    """Families sold off the approved plan by more than `plan_deviation_ratio`, or planned with more bias than `forecast_bias_ratio`."""
    found = execution.alerts(cycle.read_or_empty("plan_deviation"), {}, cycle.settings, cycle.calendar)
    return found.loc[found["alert"].isin(["sales off plan", "biased plan"]), "sentence"].tolist()  # control limits are no tolerance
