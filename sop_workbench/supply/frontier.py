"""What service costs and what stock buys: the best plan at every level of the one, point by point from one loaded model."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import highspy
import numpy as np
import pandas as pd

from sop_workbench import tables
from sop_workbench.settings import Settings
from sop_workbench.supply.compile import Arrays
from sop_workbench.supply.instance import Instance
from sop_workbench.supply.measures import Measured, Measures, measures
from sop_workbench.supply.vary import Answer, VariedPlan

SERVICE_COST, STOCK_SERVICE = "service and profit", "stock and service"
# The strictest point is reached to this share: exactly at the edge the solver's tolerance decides.
_EDGE = 1e-6


def frontiers(instance: Instance, arrays: Arrays, settings: Settings, points: int = 7, like: VariedPlan | None = None) -> pd.DataFrame:
    """The most profitable plan for every level of service, and the best service for every level of stock.

    Service and profit: maximise profit subject to Σ unserved ≤ (1 − fill) · demand, with fill from the plan's own to the highest
    that any plan reaches. Stock and service: minimise lost revenue subject to mean stock money ≤ budget, with budgets from the least
    stock that any plan can hold to what the best service asks for. Safety stock and goodwill are left out of the
    first (they are reasons for service, not its cost); what is lost is priced once only. Every point leaves at least the plan's own
    stock of every item and place at the end: a plan that sells its stock off would look better than it is.

    Parameters
    ----------
    instance, arrays : Instance, Arrays
        The situation and its compiled model.
    settings : Settings
        Solver settings.
    points : int
        Points on each frontier, at least 2.
    like : VariedPlan, optional
        The same plan, solved already.

    Returns
    -------
    DataFrame
        `service_frontier`: frontier, sequence, fill_ratio, profit_amt, inventory_amt, lost_revenue_amt, is_plan (the plan itself,
        which also keeps safety stock on the way and counts goodwill, beside the points).
    """
    weights = measures(instance, arrays)
    if arrays.columns_count == 0 or weights.demand_qty <= 0:
        return tables.table("service_frontier").empty()
    base = VariedPlan(arrays, settings, like).solve()
    kept = _leaving_the_same_stock(arrays, base.value, len(instance.periods) - 1)
    ways = {SERVICE_COST: _service_cost, STOCK_SERVICE: _stock_service}
    rows = [{"frontier": name, "sequence": n, **vars(point), "is_plan": n == 0}
            for name, way in ways.items() for n, point in enumerate([_measured(weights, base), *way(kept, settings, weights, points)])]
    return tables.validate("service_frontier", pd.DataFrame(rows))


def _leaving_the_same_stock(arrays: Arrays, value: np.ndarray, last: int) -> Arrays:
    """The model whose closing stock of the last period is at least that of a plan, item by item and place by place."""
    closing = arrays.columns["closing_qty"]
    end = [column for key, column in zip(closing.keys, closing.positions.tolist(), strict=True) if key[2] == last]
    lower = arrays.lower.copy()
    # A trace less, so that the plan itself stays one of the possible plans whatever the solver's tolerance.
    lower[end] = np.maximum(lower[end], value[end] * (1 - _EDGE))
    return replace(arrays, lower=lower)


def _service_cost(arrays: Arrays, settings: Settings, weights: Measures, points: int) -> Iterator[Measured]:
    """Profit alone is maximised; service is asked for."""
    plan = VariedPlan(arrays, settings)
    column = np.flatnonzero(weights.penalty)
    plan.price_columns(column, arrays.cost[column] + weights.penalty[column])
    lost = np.flatnonzero(weights.unserved)
    row = plan.add_row(lost, weights.unserved[lost], highspy.kHighsInf)
    cheapest = plan.solve()
    most = float(weights.unserved @ cheapest.value)
    for limit in np.linspace(most, _least(arrays, settings, weights.unserved), points):
        plan.limit_rows([row], np.array([-highspy.kHighsInf]), np.array([limit]))
        answer = plan.solve()
        yield _money(weights, answer)


def _stock_service(arrays: Arrays, settings: Settings, weights: Measures, points: int) -> Iterator[Measured]:
    """Lost revenue is minimised, then stock is limited ever more tightly."""
    plan = VariedPlan(arrays, settings)
    every = np.arange(arrays.columns_count)
    held = np.flatnonzero(weights.stock)
    # A trace of the real objective chooses, among plans of equal service, the most profitable one.
    plan.price_columns(every, 1e-3 * (arrays.cost + weights.penalty) - weights.price)
    row = plan.add_row(held, weights.stock[held], highspy.kHighsInf)
    most = float(weights.stock @ plan.solve().value)
    for limit in np.linspace(_least(arrays, settings, weights.stock), most, points):
        plan.limit_rows([row], np.array([-highspy.kHighsInf]), np.array([limit]))
        yield _valued(arrays, weights, plan.solve().value)


def _least(arrays: Arrays, settings: Settings, weight: np.ndarray) -> float:
    """The least that any plan makes of a weighted sum of columns."""
    plan = VariedPlan(arrays, settings)
    plan.price_columns(np.arange(arrays.columns_count), -weight)
    least = float(weight @ plan.solve().value)
    return least + _EDGE * max(1.0, abs(least))


def _measured(weights: Measures, answer: Answer) -> Measured:
    return weights.of(answer.value, answer.objective_amt)


def _money(weights: Measures, answer: Answer) -> Measured:
    """Figures of a solve whose objective holds no penalty."""
    return weights.of(answer.value, answer.objective_amt - float(weights.penalty @ answer.value))


def _valued(arrays: Arrays, weights: Measures, value: np.ndarray) -> Measured:
    """Figures of a plan found for another objective."""
    return weights.of(value, float(arrays.cost @ value) + arrays.offset)
