"""The supply plan as a function of tables."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property

import pandas as pd

from sop_workbench import tables
from sop_workbench.errors import InfeasiblePlanError, UnboundedPlanError
from sop_workbench.periods import Calendar
from sop_workbench.settings import Settings
from sop_workbench.supply import explain, readback, rounding, shortage
from sop_workbench.supply.allocation import allocation
from sop_workbench.supply.bottleneck import bottleneck_ranking
from sop_workbench.supply.compile import Arrays, compile_arrays
from sop_workbench.supply.costs import COSTS, PENALTIES, revenue_amt
from sop_workbench.supply.instance import Instance, supply_instance
from sop_workbench.supply.model import build_model
from sop_workbench.supply.objective import solve_for_aim
from sop_workbench.supply.solve import NoPlanError, Progress, collection_paused

EXPLANATION_TABLES = ("shortage_reason", "not_made", "bottleneck_ranking", "allocation", "rounding_check")
RESULT_TABLES = ("supply_plan", "resource_plan", "shipment_plan", "purchase_plan", "unmet_demand", "inventory_projection", "binding_limit")


@dataclass(frozen=True)
class Source:
    """What a plan was read from, kept to explain it."""

    read: readback.Reader
    settings: Settings
    market: pd.DataFrame


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
    source : Source, optional
        What the plan was read from, for `explanation` and `rounded`.
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
    source: Source | None = field(default=None, repr=False, compare=False)

    @cached_property
    def explanation(self) -> dict[str, pd.DataFrame]:
        """Why the plan is as it is, by table name (`EXPLANATION_TABLES`), worked out when first asked for."""
        if self.source is None:
            raise ValueError("this plan was not made by plan_supply: what explains it is not known")
        read, settings = self.source.read, self.source.settings
        return {
            "shortage_reason": shortage.shortage_reasons(read, settings),
            "not_made": shortage.not_made(read, settings),
            "bottleneck_ranking": bottleneck_ranking(read.instance, self.resource_plan, self.unmet_demand),
            "allocation": allocation(self.unmet_demand, self.source.market, settings),
            "rounding_check": rounding.rounding_check(read, settings),
        }

    def rounded(self, quantities: rounding.Direction = "up", people: rounding.Direction = "nearest") -> rounding.RoundedPlan:
        """The plan in whole units, lots, orders and people, and whether it still keeps every limit.

        Parameters
        ----------
        quantities, people : {"up", "down", "nearest"}
            How running totals of quantities, and crews, are rounded.
        """
        if self.source is None:
            raise ValueError("this plan was not made by plan_supply: it cannot be rounded")
        return rounding.rounded_plan(self.source.read, self.source.settings, self.supply_plan, self.resource_plan, quantities, people)

    @property
    def tables(self) -> dict[str, pd.DataFrame]:
        """The result tables by name."""
        return {name: getattr(self, name) for name in RESULT_TABLES}


def plan_supply(inputs: dict[str, pd.DataFrame], consensus_demand: pd.DataFrame, inventory_target: pd.DataFrame, settings: Settings,
                periods: pd.DatetimeIndex, calendar: Calendar, *, frozen_plan: pd.DataFrame | None = None,
                progress: Callable[[Progress], None] | None = None) -> SupplyResult:
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
    progress : callable, optional
        Called with a `Progress` while whole lots are searched for.

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
        arrays, solution = solve_for_aim(arrays, instance, settings, progress)
    except NoPlanError as fault:
        raise _told(fault, instance, settings) from None
    market = inputs["market"] if "market" in inputs else tables.table("market").empty()
    return read_result(Source(readback.Reader(instance, arrays, solution), settings, market))


def compiled_plan(instance: Instance, settings: Settings) -> Arrays:
    """The model of one planning situation, stated and compiled."""
    with collection_paused():
        return compile_arrays(build_model(instance, settings))


def contract_floor_cost(plan: SupplyResult, inputs: dict[str, pd.DataFrame], consensus_demand: pd.DataFrame,
                        inventory_target: pd.DataFrame, settings: Settings, periods: pd.DatetimeIndex,
                        calendar: Calendar) -> pd.DataFrame:
    """What the contract floors of a plan give each market, and what they cost: the plan against the best one without any floor.

    cost = profit without floors − profit with them;  price = Σ worth of one unit less under contract · floor / Σ floor

    Parameters
    ----------
    plan : SupplyResult
        The plan with its floors; the other parameters are what it was made from (`plan_supply`).

    Returns
    -------
    DataFrame
        The `contract_floor_cost` table: a row for each market with a floor and one (`all`) for the plan, which bears the cost.
        Empty where no market has a floor.
    """
    ratio = inputs["market"].set_index("market_id")["min_fill_ratio"] if "market" in inputs else pd.Series(dtype=float)
    ratio = ratio[ratio > 0]
    if ratio.empty:
        return tables.table("contract_floor_cost").empty()
    free_inputs = {**inputs, "market": inputs["market"].assign(min_fill_ratio=0.0)}
    options = {"supply": settings.supply.model_copy(update={"explained_limits": 0})}
    free = plan_supply(free_inputs, consensus_demand, inventory_target, settings.model_copy(update=options), periods, calendar)
    rows = plan.unmet_demand[plan.unmet_demand["market_id"].isin(ratio.index)]
    rows = rows.assign(floor_qty=rows["demand_qty"] * rows["market_id"].map(ratio))
    found = rows.groupby("market_id")[["floor_qty", "served_qty", "revenue_amt"]].sum()
    without = free.unmet_demand.groupby("market_id")[["served_qty", "revenue_amt"]].sum()
    found = found.join(without.rename(columns={"served_qty": "served_without_qty", "revenue_amt": "revenue_without_amt"}))
    total = found.sum().to_frame("all").T
    found["price_amt"] = _floor_price(plan, rows) / found["floor_qty"].where(found["floor_qty"] > 0)
    total = total.assign(price_amt=float("nan"), cost_amt=free.profit_amt - plan.profit_amt)
    found = pd.concat([found.assign(cost_amt=float("nan")), total])
    return tables.validate("contract_floor_cost", found.rename_axis("market_id").reset_index())


def _floor_price(plan: SupplyResult, rows: pd.DataFrame) -> pd.Series:
    """Σ worth of one unit less under contract · floor, by market."""
    told = plan.binding_limit[plan.binding_limit["limit"] == "contract floor"]
    price = told.set_index(["member", "period"])["price_amt"]
    member = pd.MultiIndex.from_arrays([rows["item_id"] + " in " + rows["market_id"], rows["period"]])
    worth = price.reindex(member).fillna(0.0).to_numpy() * rows["floor_qty"]  # a floor that does not bind costs nothing
    return worth.groupby(rows["market_id"]).sum()


def read_result(source: Source) -> SupplyResult:
    """Read every table back and value every named expression at the solution."""
    read, settings = source.read, source.settings
    instance, arrays, solution = read.instance, read.arrays, read.solution
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
        binding_limit=explain.binding_limits(read, settings),
        cost_terms=cost_terms, profit_amt=profit, penalty_terms=penalty_terms,
        objective_amt=solution.objective_amt, status=solution.status, notes=instance.notes, source=source,
    )


def _told(fault: NoPlanError, instance: Instance, settings: Settings) -> InfeasiblePlanError | UnboundedPlanError:
    """The same fault in planners' words."""
    if fault.is_unbounded:
        flows = ", ".join(sorted({f"{name} of {' '.join(map(str, key[:-1]))}" for name, key in fault.members})[:5])
        return UnboundedPlanError(f"profit could grow without end through {flows or 'a flow without limit'}; "
                                  "state the missing cost, price or limit")
    words = explain.clash_words(instance, fault.members, settings.bucket)
    return InfeasiblePlanError(f"no plan can keep these limits together; relax one of them:\n{words}")
