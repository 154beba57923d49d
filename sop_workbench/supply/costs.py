"""What the plan earns and costs: one named expression per column of `financial_projection`, and the penalties beside it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

import pyomo.environ as pyo

from sop_workbench.supply.constraints import due_qty
from sop_workbench.supply.notation import at, quicksum

if TYPE_CHECKING:
    from collections.abc import Callable

Model: TypeAlias = pyo.ConcreteModel


# ------------------------------------------------------------------ money: the columns of financial_projection
def revenue_amt(m: Model) -> Any:
    """Served quantity at the price it was ordered at: Σ price_amt · (due − lost_qty), less what is still late at the end."""
    return (quicksum(m.price_amt[key] * (due_qty(m, *key) - at(m.lost_qty, *key)) for key in m.DEMAND)
            - quicksum(m.price_amt[key] * m.backlog_qty[key] for key in m.LATE_AT_END))


def production_cost_amt(m: Model) -> Any:
    """Variable cost of what is started: Σ variable_cost_amt · production_qty."""
    return quicksum(m.variable_cost_amt[i, p] * m.production_qty[i, p, t] for i, p, t in m.STARTS)


def labour_cost_amt(m: Model) -> Any:
    """Regular hours used at their rate; of a crew, the pay of its people: Σ rate · regular_used_hours + Σ pay · worker_count."""
    return (quicksum(m.regular_cost_amt_per_hour[r] * m.regular_used_hours[r, t] for r, t in m.CAPACITY)
            + quicksum(m.regular_cost_amt_per_worker[r] * m.worker_count[r, t] for r, t in m.STAFFED))


def overtime_cost_amt(m: Model) -> Any:
    """Overtime hours at their rate: Σ overtime rate · overtime_used_hours."""
    return quicksum(m.overtime_cost_amt_per_hour[r] * m.overtime_used_hours[r, t] for r, t in m.HOURS)


def hiring_cost_amt(m: Model) -> Any:
    """People hired and laid off: Σ hire_cost_amt · hired_count + layoff_cost_amt · laid_off_count."""
    return quicksum(m.hire_cost_amt[r] * m.hired_count[r, t] + m.layoff_cost_amt[r] * m.laid_off_count[r, t] for r, t in m.STAFFED)


def setup_cost_amt(m: Model) -> Any:
    """Lots set up, where lots are whole: Σ setup_cost_amt · lot_count."""
    return quicksum(m.setup_cost_amt[i, p] * m.lot_count[i, p, t] for i, p, t in m.LOTS)


def subcontract_cost_amt(m: Model) -> Any:
    """Subcontracted units at their price: Σ subcontract_cost_amt · subcontract_qty."""
    return quicksum(m.subcontract_cost_amt[i, p] * m.subcontract_qty[i, p, t] for i, p, t in m.SUBCONTRACTED_PERIODS)


def purchase_cost_amt(m: Model) -> Any:
    """Purchased units at the supplier's price: Σ unit_cost_amt · purchase_qty."""
    return quicksum(m.unit_cost_amt[i, s, p] * m.purchase_qty[i, s, p, t] for i, s, p, t in m.ORDERS)


def freight_cost_amt(m: Model) -> Any:
    """Units sent at the freight of their lane: Σ freight_cost_amt · (transfer_qty + delivery_qty)."""
    return (quicksum(m.transfer_freight_amt[i, p, to] * m.transfer_qty[i, p, to, t] for i, p, to, t in m.TRANSFER_DEPARTURES)
            + quicksum(m.delivery_freight_amt[i, p, k] * m.delivery_qty[i, p, k, t] for i, p, k, t in m.DELIVERY_DEPARTURES))


def holding_cost_amt(m: Model) -> Any:
    """Closing stock at its holding cost: Σ holding_cost_amt · closing_qty."""
    return quicksum(m.holding_cost_amt[i, p] * m.closing_qty[i, p, t] for i, p, t in m.STOCK_PERIODS)


def backlog_cost_amt(m: Model) -> Any:
    """What is late when a period ends at its cost: Σ backlog_cost_amt · backlog_qty."""
    return quicksum(m.backlog_cost_amt[key] * m.backlog_qty[key] for key in m.LATE)


# ------------------------------------------------------------------ penalties: priced, but nobody pays them
def lost_sales_penalty(m: Model) -> Any:
    """Goodwill of lost demand, and of orders still late at the end: lost_sales_penalty_ratio · price / priority of the market."""
    return (quicksum(m.lost_penalty_amt[key] * m.lost_qty[key] for key in m.LOST)
            + quicksum(m.lost_penalty_amt[key] * m.backlog_qty[key] for key in m.LATE_AT_END))


def contract_floor_penalty(m: Model) -> Any:
    """Units below a contract floor: contract_floor_penalty_ratio · price."""
    return quicksum(m.floor_penalty_amt[key] * m.floor_shortfall_qty[key] for key in m.FLOORS)


def safety_stock_penalty(m: Model) -> Any:
    """Units below safety stock, each period: safety_stock_penalty_ratio · holding cost; at the end also their worth, to be bought back."""
    return (quicksum(m.safety_stock_penalty_ratio * m.holding_cost_amt[i, p] * m.safety_shortfall_qty[i, p, t] for i, p, t in m.TARGETS)
            + quicksum(m.value_amt[i, p] * m.safety_shortfall_qty[i, p, t] for i, p, t in m.TARGETS_AT_END))


def storage_overflow_penalty(m: Model) -> Any:
    """Storage places beyond the limit: the highest price in the plan, so that it is never worth the profit."""
    return quicksum(m.overflow_penalty_amt * m.storage_overflow_qty[p, t] for p, t in m.STORE_PERIODS)


def strategic_share_penalty(m: Model) -> Any:
    """Units below a strategic share: contract_floor_penalty_ratio · mean price."""
    return quicksum(m.strategic_penalty_amt[key] * m.strategic_shortfall_qty[key] for key in m.STRATEGIC)


def shelf_life_penalty(m: Model) -> Any:
    """Units older than their shelf life, each period: shelf_life_penalty_ratio · value."""
    return quicksum(m.shelf_life_penalty_ratio * m.value_amt[i, p] * m.expired_qty[i, p, t] for i, p, t in m.SHELVED)


def smoothing_penalty(m: Model) -> Any:
    """Units started more or less than in the period before: smoothing_penalty_ratio · value."""
    return quicksum(m.smoothing_penalty_ratio * m.value_amt[i, p] * (m.production_rise_qty[i, p, t] + m.production_fall_qty[i, p, t])
                    for i, p, t in m.SMOOTHED)


def plan_change_penalty(m: Model) -> Any:
    """Units started more or less than the previous plan said, inside the fence: plan_change_penalty_ratio · value."""
    return quicksum(m.plan_change_penalty_ratio * m.value_amt[i, p] * (m.plan_rise_qty[i, p, t] + m.plan_fall_qty[i, p, t])
                    for i, p, t in m.FENCED)


def prebuilt_penalty(m: Model) -> Any:
    """Units in stock that a chase strategy would not have made, each period: the most a sale brings for one, so that it never pays."""
    return quicksum(m.prebuilt_penalty_amt[i] * m.prebuilt_qty[i, t] for i, t in m.CHASED)


def frozen_shortfall_penalty(m: Model) -> Any:
    """Units of the frozen zone that cannot be made, where it is priced: the highest price in the plan."""
    return quicksum(m.frozen_penalty_amt * m.frozen_shortfall_qty[key] for key in m.FROZEN_AT_A_PRICE)


COSTS: tuple[Callable[[Model], Any], ...] = (
    production_cost_amt, labour_cost_amt, overtime_cost_amt, hiring_cost_amt, setup_cost_amt, subcontract_cost_amt,
    purchase_cost_amt, freight_cost_amt, holding_cost_amt, backlog_cost_amt,
)
PENALTIES: tuple[Callable[[Model], Any], ...] = (
    lost_sales_penalty, contract_floor_penalty, safety_stock_penalty, storage_overflow_penalty,
    strategic_share_penalty, shelf_life_penalty, smoothing_penalty, plan_change_penalty, prebuilt_penalty, frozen_shortfall_penalty,
)


def add_costs(m: Model) -> None:
    """Name every term and maximise revenue less costs less penalties."""
    for term in (revenue_amt, *COSTS, *PENALTIES):
        m.add_component(f"total_{term.__name__}", pyo.Expression(rule=term))
    m.profit_amt = pyo.Expression(expr=m.total_revenue_amt - sum(total(m, cost) for cost in COSTS))
    m.objective = pyo.Objective(expr=m.profit_amt - sum(total(m, penalty) for penalty in PENALTIES), sense=pyo.maximize)


def total(m: Model, term: Callable[[Model], Any]) -> pyo.Expression:
    """The named expression of a term (parameters already bear the bare names of the columns)."""
    return m.component(f"total_{term.__name__}")
