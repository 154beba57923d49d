"""The supply plan as a function of tables."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

    from sop_workbench.periods import Calendar
    from sop_workbench.settings import Settings


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
        Priced in the objective but not money: lost sales, contract floors, safety stock, storage overflow.
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
        `supply_plan` of an earlier cycle; its production stands in the first `settings.frozen_buckets` periods.

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
    raise NotImplementedError
