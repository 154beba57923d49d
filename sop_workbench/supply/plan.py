"""The supply plan as a function of tables."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from sop_workbench.errors import InfeasiblePlanError, UnboundedPlanError
from sop_workbench.periods import Calendar
from sop_workbench.settings import Settings
from sop_workbench.supply import explain, readback
from sop_workbench.supply.compile import Arrays, compile_arrays
from sop_workbench.supply.costs import COSTS, PENALTIES, revenue_amt
from sop_workbench.supply.instance import Instance, supply_instance
from sop_workbench.supply.model import build_model
from sop_workbench.supply.objective import solve_for_aim
from sop_workbench.supply.solve import NoPlanError, Solution, collection_paused

RESULT_TABLES = ("supply_plan", "resource_plan", "shipment_plan", "purchase_plan", "unmet_demand", "inventory_projection", "binding_limit")


@dataclass(frozen=True)
class SupplyResult:
    """A supply plan: result tables, its money by finance column, and what the planner should know.

    Attributes
    ----------
    supply_plan, resource_plan, shipment_plan, purchase_plan, unmet_demand, inventory_projection, binding_limit : DataFrame
        Result tables of these names.
    cost_terms : dict of str to float
        `revenue_amt` and every cost column of `financial_projection`, summed over the horizon.
    profit_amt : float
        Revenue less all costs.
    penalty_terms : dict of str to float
        Priced in the objective but not money: lost sales, contract floors, safety stock, storage overflow and the other
        terms of `costs.PENALTIES`.
    objective_amt : float
        Profit less penalties: what the solver maximised.
    status : str
        How the solver ended, in words.
    notes : tuple of str
        What stops items for good (no source, no lane), one sentence each.
    """

    supply_plan: pd.DataFrame
    resource_plan: pd.DataFrame
    shipment_plan: pd.DataFrame
    purchase_plan: pd.DataFrame
    unmet_demand: pd.DataFrame
    inventory_projection: pd.DataFrame
    binding_limit: pd.DataFrame
    cost_terms: dict[str, float]
    profit_amt: float
    penalty_terms: dict[str, float]
    objective_amt: float
    status: str
    notes: tuple[str, ...] = ()

    @property
    def tables(self) -> dict[str, pd.DataFrame]:
        """The result tables by name."""
        return {name: getattr(self, name) for name in RESULT_TABLES}


def plan_supply(inputs: dict[str, pd.DataFrame], consensus_demand: pd.DataFrame, inventory_target: pd.DataFrame, settings: Settings,
                periods: pd.DatetimeIndex, calendar: Calendar, *, frozen_plan: pd.DataFrame | None = None) -> SupplyResult:
    """Make the most profitable plan over plants, crews, suppliers, lanes and stock.

    Parameters
    ----------
    inputs : dict of str to DataFrame
        Input tables by name, conformed; an optional table a company lacks is empty or left out.
    consensus_demand, inventory_target : DataFrame
        Result tables of these names; an empty target means no safety stock.
    settings : Settings
        Shortage rule, penalties, lots, time limit.
    periods : DatetimeIndex
        Periods to plan, first day of each.
    calendar : Calendar
        Turns lead times into buckets.
    frozen_plan : DataFrame, optional
        `supply_plan` of an earlier cycle, in place of the input table `previous_plan`: its production stands in the first
        `settings.frozen_buckets` periods, and its change has a price up to `settings.supply.plan_fence_buckets`.

    Raises
    ------
    DataError
        When a table contradicts itself (negative stock or capacity, a lane to nowhere, a period without hours).
    InfeasiblePlanError
        When hard limits (stock limits, frozen production) clash; the message names the smallest clashing set.
    UnboundedPlanError
        When profit could grow without end.
    SolverError
        When the solver stops without a plan.
    """
    instance = supply_instance(inputs, consensus_demand, inventory_target, settings, periods, calendar, frozen_plan)
    arrays = compiled_plan(instance, settings)
    try:
        arrays, solution = solve_for_aim(arrays, instance, settings)
    except NoPlanError as fault:
        raise _told(fault, instance, settings) from None
    return _result(instance, settings, arrays, solution)


def compiled_plan(instance: Instance, settings: Settings) -> Arrays:
    """The model of one planning situation, stated and compiled."""
    with collection_paused():
        return compile_arrays(build_model(instance, settings))


def _result(instance: Instance, settings: Settings, arrays: Arrays, solution: Solution) -> SupplyResult:
    """Read every table back and value every named expression at the solution."""
    read = readback.Reader(instance, arrays, solution)
    worth = {name: term.value(solution.value) for name, term in arrays.terms.items()}
    cost_terms = {term.__name__: worth[f"total_{term.__name__}"] for term in (revenue_amt, *COSTS)}
    penalty_terms = {term.__name__: worth[f"total_{term.__name__}"] for term in PENALTIES}
    profit = worth["profit_amt"]
    return SupplyResult(
        supply_plan=readback.supply_plan(read),
        resource_plan=readback.resource_plan(read),
        shipment_plan=readback.shipment_plan(read),
        purchase_plan=readback.purchase_plan(read),
        unmet_demand=readback.unmet_demand(read),
        inventory_projection=readback.inventory_projection(read),
        binding_limit=explain.binding_limits(read, settings.currency, settings.bucket),
        cost_terms=cost_terms, profit_amt=profit, penalty_terms=penalty_terms,
        objective_amt=solution.objective_amt, status=solution.status, notes=instance.notes,
    )


def _told(fault: NoPlanError, instance: Instance, settings: Settings) -> InfeasiblePlanError | UnboundedPlanError:
    """The same fault in planners' words."""
    if fault.is_unbounded:
        flows = ", ".join(sorted({f"{name} of {' '.join(map(str, key[:-1]))}" for name, key in fault.members})[:5])
        return UnboundedPlanError(f"profit could grow without end through {flows or 'a flow without limit'}; "
                                  "state the missing cost, price or limit")
    words = explain.clash_words(instance, fault.members, settings.bucket)
    return InfeasiblePlanError(f"no plan can keep these limits together; relax one of them:\n{words}")
